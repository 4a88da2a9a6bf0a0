"""Single layers of any model on the kernels: which layers fit, which pay, and their replacement."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.nn.dense import Linear as PyGLinear

from pyg_stgcn.models.plain_copy import double
from pyg_stgcn.nn import AAGraphConv, STGraphConv
from pyg_stgcn.runtime.fold import frames_first
from pyg_stgcn.runtime.instructions import SparseConv
from pyg_stgcn.runtime.lanes import LANES, num_blocks
from pyg_stgcn.runtime.program_builder import ProgramBuilder
from pyg_stgcn.runtime.sparse_weights import cost

# Input channels of a linear map that are worked on together.
ROW_GROUP = 256
# Times of sixteen outputs, relative to one weight of the row kernel, timed layer by layer with
# AVX-512: one weight of a dense product; one channel of a convolution, which is converted to the
# layout of the kernels or back; and one channel of a linear map, which is converted in the cache.
DENSE_COST = 0.6
PACK_COST = 28.0
ROW_COST = 15.0
# The time that a call takes more than a dense one, whatever its size.
CALL_COST = 30_000.0


def sparse_conv(weight: Tensor, bias: Tensor, *args: Any, **kwargs: Any) -> SparseConv:
    """A convolution alone, see :meth:`ProgramBuilder.conv`."""
    builder = ProgramBuilder(1, 1, weight.size(2))
    builder.conv(0, weight, bias, *args, **kwargs)
    return SparseConv(builder.instructions[0], builder.slots)


class SparseLayer(nn.Module):
    """Base of the layers on the kernels: a layer of any class, its product replaced.

    The layer keeps its class as a base, and so its name, parameters, attributes and hooks. A module
    that reads its ``weight`` instead of calling it computes what it always did. Calls that the
    kernels cannot answer stay dense: other types and devices, nested tensors, gradients, and inputs
    so small that dense is faster.
    """

    weight: nn.Parameter
    sparse_map: SparseConv
    #: Times of sixteen outputs, sparse and dense.
    sparse_costs: tuple[float, float]

    def takes(self, x: Tensor, channels: int) -> bool:
        """Tells if the kernels can answer a call; ``channels`` is the dimension of the channels."""
        if x.is_nested or x.layout != torch.strided or x.device.type != "cpu":
            return False
        if x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return False
        if torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad):
            return False
        return x.size(channels) == self.sparse_map.in_channels

    def pays(self, rows: int, lanes: int) -> bool:
        """Tells if the kernels are faster for so many rows of so many outputs per channel."""
        if torch.compiler.is_compiling():
            return True  # the sizes may be unknown
        sparse, dense = self.sparse_costs
        return CALL_COST + rows * num_blocks(lanes) * sparse < rows * lanes / LANES * dense

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickles the classes of which the own one is made: that has no name to import."""
        _, _, *state = cast(tuple[Any, ...], super().__reduce_ex__(protocol))
        return (_blank, type(self).__bases__, *state)


class SparseLinear(SparseLayer):
    r"""A linear map.

    Shapes:
        - **input:** :math:`(*, C)`
        - **output:** :math:`(*, C')`
    """

    @staticmethod
    def costs(layer: Any) -> tuple[float, float]:
        """Times of sixteen outputs, sparse and dense."""
        weight = layer.weight.unsqueeze(1)
        sparse = cost(weight) + ROW_COST * (weight.size(0) + weight.size(2))
        return sparse, DENSE_COST * weight.numel()

    @staticmethod
    def compiled(layer: Any) -> SparseConv:
        """The map of the kernels."""
        return sparse_conv(*frames_first(layer), group=ROW_GROUP)

    def forward(self, x: Tensor) -> Tensor:
        """Maps the last dimension."""
        out = self.mapped(x)
        return super().forward(x) if out is None else out

    def mapped(self, x: Tensor) -> Tensor | None:
        """Maps the last dimension by the kernels, unless the dense layer has to."""
        if x.dim() == 0 or not self.takes(x, -1):
            return None
        rows = x.reshape(-1, x.size(-1))
        if not self.pays(1, rows.size(0)):
            return None
        return self.sparse_map.of_rows(rows).view(*x.shape[:-1], self.sparse_map.rows)


class SparseGraphMap(SparseLinear):
    """The linear map of a graph convolution, after the sum over the neighbours."""

    num_partitions: int

    @staticmethod
    def compiled(layer: Any) -> SparseConv:
        """The map of the kernels; the convolution of ST-GCN adds its biases itself."""
        weight = double(layer.weight).unsqueeze(1)
        bias = weight.new_zeros(len(weight))
        if isinstance(layer, AAGraphConv):
            bias = double(layer.bias).view(layer.num_partitions, -1).sum(0)
        return sparse_conv(weight, bias, group=ROW_GROUP)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Convolves."""
        return cast(Tensor, super(SparseLinear, self).forward(*args, **kwargs))

    def _linear(self, z: Tensor) -> Tensor:
        nodes = z.size(-2) // self.num_partitions
        out = self.mapped(z.reshape(*z.shape[:-2], nodes, self.sparse_map.in_channels))
        return cast(Any, super())._linear(z) if out is None else out


class _OverTime(SparseLayer):
    """A convolution over one dimension."""

    @staticmethod
    def costs(layer: Any) -> tuple[float, float]:
        """Times of sixteen outputs, sparse and dense."""
        weight, _ = frames_first(layer)
        sparse = cost(weight) + PACK_COST * (weight.size(0) + weight.size(2))
        return sparse, DENSE_COST * layer.weight.numel()

    @staticmethod
    def compiled(layer: Any) -> SparseConv:
        """The convolution of the kernels."""
        return sparse_conv(*frames_first(layer), layer.stride[0], layer.padding[0])

    def convolve(self, maps: Tensor) -> Tensor:
        """Convolves ``[N, T, V, C]`` over the frames T."""
        packed = torch.ops.pyg_stgcn.pack(maps, self.sparse_map.padding)
        return torch.ops.pyg_stgcn.unpack(self.sparse_map(packed), 0, maps.size(2))


class SparseConv2d(_OverTime):
    r"""A convolution over the first of two dimensions.

    Shapes:
        - **input:** :math:`(N, C, T, V)` or :math:`(C, T, V)`
        - **output:** :math:`(N, C', T', V)` or :math:`(C', T', V)`
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolves."""
        if x.dim() not in (3, 4) or not self.takes(x, -3):
            return super().forward(x)
        maps = x if x.dim() == 4 else x.unsqueeze(0)
        if not self.pays(maps.size(0) * maps.size(2), maps.size(3)):
            return super().forward(x)
        out = self.convolve(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out if x.dim() == 4 else out.squeeze(0)


class SparseConv1d(_OverTime):
    r"""A convolution; the samples of a batch lie side by side, as joints do.

    Shapes:
        - **input:** :math:`(N, C, T)` or :math:`(C, T)`
        - **output:** :math:`(N, C', T')` or :math:`(C', T')`
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolves."""
        if x.dim() not in (2, 3) or not self.takes(x, -2):
            return super().forward(x)
        maps = x if x.dim() == 3 else x.unsqueeze(0)
        if not self.pays(maps.size(2), maps.size(0)):
            return super().forward(x)
        out = self.convolve(maps.permute(2, 0, 1).unsqueeze(0)).squeeze(0).permute(1, 2, 0)
        return out if x.dim() == 3 else out.squeeze(0)


# A layer of any class is computed as one of these classes if all its methods are theirs.
_KNOWN: list[tuple[type[nn.Module], tuple[str, ...], type[Any]]] = [
    (nn.Linear, ("forward",), SparseLinear),
    (PyGLinear, ("forward",), SparseLinear),
    (nn.Conv1d, ("forward", "_conv_forward"), SparseConv1d),
    (nn.Conv2d, ("forward", "_conv_forward"), SparseConv2d),
    (STGraphConv, ("_linear",), SparseGraphMap),
    (AAGraphConv, ("_linear",), SparseGraphMap),
]


def obstacle(layer: nn.Module) -> str:
    """The reason why the kernels cannot compute a layer; empty if they can.

    A layer of a derived class is computed like its base if it has the same ``forward``.
    """
    kind = _sparse_kind(layer)
    if kind is None:
        return f"the kernels do not support {type(layer).__name__}"
    for name in ("weight", "bias"):
        value = vars(layer)["_parameters"].get(name, layer)
        if value is None and name == "bias":
            continue
        if type(value) is not nn.Parameter or value.layout != torch.strided:
            return f"its {name} is not a plain parameter"
        if value.device.type != "cpu" or value.dtype != torch.float32:
            return f"the kernels are for float32 on the CPU, not {value.dtype} on {value.device}"
    if layer._forward_pre_hooks:
        return "it has forward pre-hooks, which may change its weight"
    return _not_over_time(layer) if issubclass(kind, _OverTime) else ""


def is_faster(layer: nn.Module) -> bool:
    """Tells if the kernels are faster than the dense layer for large inputs, by measured costs.

    The time of a sparse layer grows with its kept weights, and with the channels of input and
    output, whose layout it converts; that of a dense layer with all weights, at less time a weight.
    """
    kind = _sparse_kind(layer)
    if kind is None:
        return False
    sparse, dense = kind.costs(layer)
    return sparse < dense


@torch.no_grad()
def make_sparse(layer: Any) -> None:
    """Puts a layer on the kernels, in place; its class then derives from its class before.

    Raises:
        TypeError: If there is an :func:`obstacle`.
    """
    kind: Any = _sparse_kind(layer)
    if kind is None or obstacle(layer):
        raise TypeError(f"{type(layer).__name__}: {obstacle(layer)}")
    layer.sparse_costs = kind.costs(layer)
    layer.sparse_map = kind.compiled(layer)
    layer.__class__ = _sparse_class(kind, cast(Any, type(layer)))


@cache
def _sparse_class(kind: Any, dense: Any) -> Any:
    return type(f"Sparse{dense.__name__}", (kind, dense), {"__module__": __name__})


def _blank(kind: Any, dense: Any) -> nn.Module:
    made = _sparse_class(kind, dense)
    return cast(nn.Module, made.__new__(made))


def _sparse_kind(layer: nn.Module) -> type[Any] | None:
    """The class that computes a layer on the kernels, or None for an unknown layer."""
    kind = type(layer)
    if "forward" in vars(layer) or kind.__call__ is not nn.Module.__call__:
        return None
    for known, methods, sparse in _KNOWN:
        if all(_method(kind, name) is _method(known, name) for name in methods):
            return sparse
    return None


def _method(kind: type, name: str) -> Callable[..., Any] | None:
    return getattr(kind, name, None)


def _not_over_time(layer: Any) -> str:
    """The reason why a convolution does not run over one dimension; empty if it does."""
    if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return (
            "the kernels need groups=1, padding_mode='zeros' and a number as padding, not "
            f"groups={layer.groups}, {layer.padding_mode!r} and {layer.padding!r}"
        )
    rest = (layer.kernel_size[1:], layer.stride[1:], layer.padding[1:])
    if rest not in (((), (), ()), ((1,), (1,), (0,))):
        return "the kernels do not support convolutions over two dimensions"
    return ""
