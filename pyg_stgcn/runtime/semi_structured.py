"""Weights with two of every four inputs, in half precision, for the sparse tensor cores of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.sparse import (
    SparseSemiStructuredTensor,
    SparseSemiStructuredTensorCUSPARSELT,
    SparseSemiStructuredTensorCUTLASS,
)

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.example_clips import random_clips
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.runtime.compiled_parts import CompiledPart
from pyg_stgcn.runtime.sparse_weights import zeros_fraction
from pyg_stgcn.sparsity.structures import GROUP

#: Precisions of sparse tensor cores that the models compute in.
DTYPES = (torch.float16, torch.bfloat16)
#: Compute capability of the first GPUs with sparse tensor cores.
CAPABILITY = (8, 0)
#: Frames of the clip that shows which weights are multiplied as a whole.
_FRAMES = 32


class SemiStructured(nn.Module):
    r"""A model for inference whose 2:4 weights are semi-structured tensors of torch.

    Made by :func:`semi_structured`.

    Args:
        model (Backbone or Assembly): The converted model.
        dtype (torch.dtype): Its precision.
        parts (list of CompiledPart): Which weights are converted, and why the others are not.

    Shapes:
        - **x:** as of the model, in any precision
        - **output:** logits :math:`(N, \mathrm{classes})` in single precision
    """

    def __init__(
        self, model: Backbone | Assembly, dtype: torch.dtype, parts: list[CompiledPart]
    ) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype
        self.parts = parts

    @torch.no_grad()
    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Runs the model."""
        logits: Tensor = self.model(x.to(self.dtype), *args, **kwargs)
        return logits.float()


def semi_structured(
    model: Backbone | Assembly, dtype: torch.dtype = torch.float16
) -> SemiStructured:
    """Converts the 2:4 weights of a trained model to semi-structured tensors, in half precision.

    Linear maps and graph convolutions are converted where they are. A convolution over frames
    becomes one linear map of the frames under its kernel, side by side. Everything else is computed
    in half precision. The kernels are those of cuSPARSELt where torch has it, else of CUTLASS; each
    has sizes that the rows and columns of a weight must be multiples of.

    Args:
        model (Backbone or Assembly): Trained with ``structure="2:4"`` and a sparsity of 0.5, on a
            GPU. It is not changed.
        dtype (torch.dtype): :obj:`torch.float16` or :obj:`torch.bfloat16`.

    Returns:
        SemiStructured: A copy; its :attr:`~SemiStructured.parts` say what was converted.

    Raises:
        InputError: If the device or the precision has no such products, or no weight is 2:4.

    Example:
        >>> fast = semi_structured(run.load_model().cuda())
        >>> print(*fast.parts, sep="\\n")
        stages.0.gcn.conv                  STGraphConv                       50.0%  sparse
        >>> logits = fast(data.x, data.batch)
    """
    device = next(model.parameters()).device
    if reason := why_not_semi_structured(device, dtype):
        raise InputError(f"semi_structured: {reason}")
    return convert(copy_plain(model).to(dtype))


def why_not_semi_structured(
    device: torch.device,
    dtype: torch.dtype = torch.float16,
    model: Backbone | Assembly | None = None,
) -> str:
    """The reason why a device has no semi-structured products; empty where it has.

    Args:
        device: The device.
        dtype: Precision of the weights.
        model: A model of which some weights have to be 2:4.
    """
    if dtype not in DTYPES:
        return f"has no products in {dtype}; choose torch.float16 or torch.bfloat16"
    if device.type != "cuda":
        return f"needs a CUDA device, not {device.type}"
    found = torch.cuda.get_device_capability(device)
    if found < CAPABILITY:
        return (
            f"needs a GPU of compute capability {_version(CAPABILITY)}, such as an A100; "
            f"{torch.cuda.get_device_name(device)} has {_version(found)}"
        )
    if model is None:
        return ""
    return _nothing_to_convert([entry.part for entry in _plan(copy_plain(model).to(dtype))])


def tensor_class() -> type[SparseSemiStructuredTensor]:
    """The semi-structured tensor with the faster kernels that this torch has."""
    if torch.backends.cusparselt.is_available():
        return SparseSemiStructuredTensorCUSPARSELT
    return SparseSemiStructuredTensorCUTLASS


def convert(
    model: Backbone | Assembly, kind: type[SparseSemiStructuredTensor] | None = None
) -> SemiStructured:
    """Converts the weights of a model of half precision in place, see :func:`semi_structured`.

    Args:
        model: Without masks.
        kind: The class of the converted weights (default: :func:`tensor_class`).

    Raises:
        InputError: If no weight can be converted.
    """
    kind = kind or tensor_class()
    plan = _plan(model, kind)
    parts = [entry.part for entry in plan]
    if reason := _nothing_to_convert(parts):
        raise InputError(f"semi_structured: {reason}")
    for layer, matrix, part in plan:
        if matrix is None or not part.is_sparse:
            continue
        weight = nn.Parameter(kind.from_dense(matrix.contiguous()), requires_grad=False)
        if isinstance(layer, nn.Conv2d):
            model.set_submodule(part.name, FrameMap(layer, weight))
        elif isinstance(layer, nn.Linear):
            model.set_submodule(part.name, RowMap(weight, layer.bias))
        else:
            layer.weight = weight
    return SemiStructured(model, next(model.parameters()).dtype, parts)


class _Layer(NamedTuple):
    """A layer with its weight as a matrix, if it is one, and what becomes of it."""

    layer: Any
    matrix: Tensor | None
    part: CompiledPart


def _plan(
    model: Backbone | Assembly, kind: type[SparseSemiStructuredTensor] | None = None
) -> list[_Layer]:
    """All layers with a weight of their own, of two or more dimensions."""
    whole = _multiplied_as_a_whole(model)
    found = []
    for name, layer in model.named_modules():
        weight = dict(layer.named_parameters(recurse=False)).get("weight")
        if weight is None or weight.dim() < 2:
            continue
        matrix = _matrix(layer, weight.detach())
        reason = _obstacle(matrix, kind or tensor_class())
        if not reason and id(weight) not in whole:
            reason = "its weight is not multiplied as a whole"
        part = CompiledPart(name, type(layer).__name__, zeros_fraction([weight]), reason)
        found.append(_Layer(layer, matrix, part))
    return found


def _nothing_to_convert(parts: Sequence[CompiledPart]) -> str:
    if any(part.is_sparse for part in parts):
        return ""
    sparse = next((part for part in parts if part.sparsity >= 0.5), None)
    example = "" if sparse is None else f" ({sparse.name}: {sparse.reason})"
    return f"needs weights that are 2:4; train with structure='2:4' and sparsity=0.5{example}"


class RowMap(nn.Module):
    r"""A linear map with a semi-structured weight, of inputs in any memory order.

    Args:
        weight (torch.nn.Parameter): The weights :math:`(C', C)`.
        bias (torch.nn.Parameter, optional): The bias.

    Shapes:
        - **input:** :math:`(*, C)`
        - **output:** :math:`(*, C')`
    """

    def __init__(self, weight: nn.Parameter, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Maps every row."""
        # torch multiplies semi-structured tensors with matrices only.
        rows = x.reshape(-1, x.size(-1)).contiguous()
        return F.linear(rows, self.weight, self.bias).view(*x.shape[:-1], -1)


class FrameMap(RowMap):
    r"""A convolution over frames as one linear map of the frames under its kernel, side by side.

    Args:
        conv (torch.nn.Conv2d): A convolution with a kernel of :math:`(S, 1)`.
        weight (torch.nn.Parameter): Its weights as a matrix :math:`(C', S C)`.

    Shapes:
        - **input:** :math:`(P, C, T, V)`, the channels last in memory
        - **output:** :math:`(P, C', T', V)`, the channels last in memory
    """

    def __init__(self, conv: nn.Conv2d, weight: nn.Parameter) -> None:
        super().__init__(weight, conv.bias)
        self.taps, self.stride, self.dilation = (
            sizes[0] for sizes in (conv.kernel_size, conv.stride, conv.dilation)
        )
        assert not isinstance(conv.padding, str)
        self.padding = conv.padding[0]

    def forward(self, x: Tensor) -> Tensor:
        """Convolves over the frames."""
        frames = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 0, self.padding, self.padding))
        last = frames.size(1) - (self.taps - 1) * self.dilation
        starts = range(0, self.taps * self.dilation, self.dilation)
        windows = [frames[:, start : start + last : self.stride] for start in starts]
        return super().forward(torch.cat(windows, dim=-1)).permute(0, 3, 1, 2)


def _matrix(layer: nn.Module, weight: Tensor) -> Tensor | None:
    """The weight of a linear map or of a convolution over frames as a matrix of outputs and inputs;
    of other layers none.
    """
    if isinstance(layer, nn.Conv2d) and _is_over_frames(layer):
        # The channels of a frame stay together: of four of them two are kept.
        return weight.squeeze(3).transpose(1, 2).flatten(1)
    return weight if weight.dim() == 2 else None


def _is_over_frames(conv: nn.Conv2d) -> bool:
    return (
        conv.groups == 1
        and conv.kernel_size[1] == conv.stride[1] == 1
        and not isinstance(conv.padding, str)
        and conv.padding[1] == 0
        and conv.padding_mode == "zeros"
    )


def _obstacle(matrix: Tensor | None, kind: type[SparseSemiStructuredTensor]) -> str:
    """The reason why a weight cannot be converted; empty if it can."""
    if matrix is None:
        return "no linear map, and no convolution over frames"
    sizes = kind._DTYPE_SHAPE_CONSTRAINTS[matrix.dtype]
    rows, columns = sizes.sparse_min_rows, sizes.sparse_min_cols
    if len(matrix) % rows or matrix.size(1) % columns:
        shape = " x ".join(map(str, matrix.shape))
        return f"its shape {shape} is no multiple of {rows} x {columns}"
    kept = (matrix != 0).unflatten(1, (-1, GROUP)).sum(2)
    if int(kept.max()) > GROUP // 2:
        return "more than two of four consecutive inputs are kept"
    return ""


def _version(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


def _multiplied_as_a_whole(model: Backbone | Assembly) -> set[int]:
    """Identities of the weights that linear maps and convolutions use, and nothing else."""
    uses = _Uses()
    with torch.no_grad(), uses:
        model(*random_clips(model, 1, 2, _FRAMES))
    return uses.products - uses.others


class _Uses(TorchFunctionMode):
    """Notes what tensors are used for."""

    def __init__(self) -> None:
        super().__init__()
        self.products: set[int] = set()
        self.others: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = dict(enumerate(args)) | kwargs
        is_product = func in (F.linear, F.conv2d)
        for place, value in given.items():
            if isinstance(value, Tensor) and _name(func) not in _QUESTIONS:
                (self.products if is_product and place in (1, "weight") else self.others).add(
                    id(value)
                )
        return func(*args, **kwargs)


#: Methods and attributes that a semi-structured tensor has too.
_QUESTIONS = {"size", "dim", "shape", "dtype", "device"}


def _name(func: Any) -> str:
    """The name of a function, or of the attribute that it gets."""
    return str(getattr(getattr(func, "__self__", func), "__name__", ""))
