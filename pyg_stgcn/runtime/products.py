"""The products of any model with its sparse weights, by torch-sparse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.benchmark import Timer
from torch_geometric.typing import SparseTensor, torch_sparse

#: Seconds for timing a product, dense and sparse each.
MIN_SECONDS = 0.02


class SparseProducts(nn.Module):
    r"""Computes the products of a model with its sparse weights by torch-sparse.

    Replaced are linear maps and ungrouped convolutions over one or two dimensions, in any module. A
    convolution is a product with the unfolded input. This needs no kernels of this package; on a
    CPU it is slower than dense up to 99 % zeros.

    Args:
        model (torch.nn.Module): The model, its masks folded in. It becomes a part of this module.
        names (sequence of str): The weights to use as sparse matrices, see :func:`faster_weights`
            (default: all of :func:`sparse_candidates`).
    """

    def __init__(self, model: nn.Module, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.model = model
        self.names = list(sparse_candidates(model) if names is None else names)
        self._matrices: dict[str, tuple[object, SparseTensor]] = {}

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the model."""
        with _Products({id(weight): matrix for weight, matrix in self._present()}):
            return self.model(*args, **kwargs)

    def _present(self) -> Iterator[tuple[Tensor, SparseTensor]]:
        """The weights and their matrices; a matrix is built again if its weight was changed."""
        for name in self.names:
            weight = self.model.get_parameter(name)
            # Tensors made in inference mode have no version.
            version = None if weight.is_inference() else weight._version
            state = (weight.device, weight.data_ptr(), version)
            if name not in self._matrices or self._matrices[name][0] != state:
                self._matrices[name] = (state, _matrix(weight))
            yield weight, self._matrices[name][1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_matrices": {}}


def sparse_candidates(model: nn.Module) -> dict[str, Tensor]:
    """The weights, by name, that are at least half zeros."""
    return {name: parameter for name, parameter in model.named_parameters() if is_sparse(parameter)}


def is_sparse(weight: Tensor) -> bool:
    """Tells if at least half of a weight of two or more dimensions is zero."""
    return weight.dim() > 1 and 2 * int(weight.count_nonzero()) <= weight.numel()


@torch.no_grad()
def faster_weights(model: nn.Module, *args: Any) -> list[str]:
    """The names of the weights whose sparse products are faster than the dense ones, measured.

    Args:
        model (torch.nn.Module): The model, its masks folded in, on the device of its use.
        args: An input of a realistic size. Every product is timed in place.
    """
    found = sparse_candidates(model)
    timing = _Timing({id(weight): _matrix(weight) for weight in found.values()})
    with timing:
        model(*args)
    return [name for name, weight in found.items() if timing.gain.get(id(weight), 0) > 0]


def _matrix(weight: Tensor) -> SparseTensor:
    return SparseTensor.from_dense(weight.detach().flatten(1)).fill_cache_()


class _Products(TorchFunctionMode):
    """Replaces the products with some weights, which are recognised by their identity."""

    def __init__(self, matrices: Mapping[int, SparseTensor]) -> None:
        super().__init__()
        self.matrices = matrices

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        sparse = _SPARSE.get(func)
        weight = kwargs.get("weight", args[1] if len(args) > 1 else None)
        matrix = self.matrices.get(id(weight)) if sparse is not None else None
        # torch-sparse fails on empty inputs.
        empty = bool(args) and isinstance(args[0], Tensor) and args[0].numel() == 0
        if sparse is None or matrix is None or empty:
            return func(*args, **kwargs)
        return self.multiply(
            weight, lambda: func(*args, **kwargs), lambda: sparse(matrix, *args, **kwargs)
        )

    def multiply(
        self, weight: Tensor, dense: Callable[[], Tensor], sparse: Callable[[], Tensor]
    ) -> Tensor:
        return sparse()


class _Timing(_Products):
    """Times every product dense and sparse, and continues with the dense result."""

    def __init__(self, matrices: Mapping[int, SparseTensor]) -> None:
        super().__init__(matrices)
        #: Seconds saved by the sparse product, by the identity of the weight.
        self.gain: dict[int, float] = {}

    def multiply(
        self, weight: Tensor, dense: Callable[[], Tensor], sparse: Callable[[], Tensor]
    ) -> Tensor:
        gain = _seconds(dense) - _seconds(sparse)
        self.gain[id(weight)] = self.gain.get(id(weight), 0.0) + gain
        return dense()


def _seconds(product: Callable[[], Tensor]) -> float:
    timer = Timer("product()", globals={"product": product}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=MIN_SECONDS).median


def _linear(
    matrix: SparseTensor, input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    rows = input.reshape(-1, input.size(-1))
    out = torch_sparse.matmul(matrix, rows.t()).t().view(*input.shape[:-1], -1)
    return out if bias is None else out + bias


def _conv(
    matrix: SparseTensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A convolution over one dimension or two; the input may have no batch dimension."""
    if groups > 1 or isinstance(padding, str):
        dense = F.conv1d if weight.dim() == 3 else F.conv2d
        return dense(input, weight, bias, stride, padding, dilation, groups)
    spare = 4 - weight.dim()  # one dimension is treated as two, the last of size 1
    kernel = (*weight.shape[2:], *[1] * spare)
    steps, pads, gaps = (
        _two(value, rest if spare else value)
        for value, rest in ((stride, 1), (padding, 0), (dilation, 1))
    )
    maps = input.view(*input.shape, *[1] * spare)
    maps = maps if maps.dim() == 4 else maps.unsqueeze(0)
    columns = F.unfold(maps, kernel, gaps, pads, steps)  # [N, C k, positions]
    wide = columns.transpose(0, 1).flatten(1)
    out = torch_sparse.matmul(matrix, wide).unflatten(1, (maps.size(0), -1)).transpose(0, 1)
    if bias is not None:
        out = out + bias.view(-1, 1)
    sizes = [
        (size + 2 * pad - gap * (span - 1) - 1) // step + 1
        for size, pad, gap, span, step in zip(
            maps.shape[2:], pads, gaps, kernel, steps, strict=True
        )
    ]
    out = out.unflatten(2, sizes[: 2 - spare])
    return out if input.dim() == weight.dim() else out.squeeze(0)


def _two(value: Any, second: Any) -> tuple[int, int]:
    """A setting for two dimensions; ``second`` is used where it is given for one only."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values[0], values[1] if len(values) == 2 else second


_SPARSE: dict[Any, Callable[..., Tensor]] = {
    F.linear: _linear,
    F.conv1d: _conv,
    F.conv2d: _conv,
}
