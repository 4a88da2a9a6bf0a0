"""The cost of a model: multiply-accumulates of every layer, time and memory of a forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.benchmark import Timer
from torch_geometric.typing import SparseTensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import (
    DGMSTCN,
    AAGraphConv,
    Adjacency,
    ClassifierHead,
    CTRGraphConv,
    DGGraphConv,
    PersonNorm,
    STGraphConv,
)
from pyg_stgcn.nn.conv.map_first import MapFirst
from pyg_stgcn.nn.placed import Place, PlacedLinear


@dataclass(frozen=True)
class LayerCost:
    """Multiply-accumulates of one layer in one forward pass.

    Args:
        name: Its dotted name in the model.
        kind: Its class.
        params: Numbers in its own weight and bias.
        macs: Of the dense reference implementation: all weights, all pairs of joints in every
            partition, and linear maps before sums over neighbours.
        effective_macs: Of the weights and edges that are not zero, in the order of computation of
            this package: sums before linear maps where it does so.
    """

    name: str
    kind: str
    params: int
    macs: int
    effective_macs: int


@torch.no_grad()
def count_macs(model: Backbone, clips: Sequence[Any]) -> list[LayerCost]:
    """Count the multiply-accumulates of a forward pass, layer by layer.

    Counted are convolutions, linear maps and all operations on pairs of joints: products with a
    graph, and the graphs of adaptive convolutions. Norms, activations, poolings and sums are not,
    as in published numbers. Layers of unknown classes are not counted either; a warning names
    those with parameters.

    Args:
        model: The backbone, with masks or without.
        clips: The arguments of the model, see :func:`~pyg_stgcn.models.random_clips`; the count
            does not depend on their values.

    Returns:
        The layers that multiply anything, in the order of their execution.
    """
    found: dict[str, LayerCost] = {}
    ran: set[str] = set()

    def record(name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            ran.add(name)
            inputs = (*args, *kwargs.values())
            dense, effective = _macs(module, inputs, output)
            own = [getattr(module, part, None) for part in ("weight", "bias")]
            params = sum(part.numel() for part in own if isinstance(part, Tensor))
            if dense:
                found[name] = LayerCost(name, _kind(module), params, dense, effective)

        return hook

    handles = [
        module.register_forward_hook(record(name), with_kwargs=True)
        for name, module in model.named_modules()
        if name
    ]
    was_training = model.training
    model.eval()
    try:
        model(*clips)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    if unknown := _uncounted(model, ran):
        warnings.warn(
            f"multiply-accumulates of unknown layers are not counted: {', '.join(unknown)}",
            stacklevel=2,
        )
    return list(found.values())


@torch.inference_mode()
def measure_forward(
    model: Backbone, clips: Sequence[Any], min_seconds: float = 1.0
) -> tuple[float, int]:
    """Time and memory of a forward pass in evaluation mode.

    Args:
        model: The backbone.
        clips: The arguments of the model.
        min_seconds: Time for repeating the pass.

    Returns:
        Median time in milliseconds, and the largest number of bytes of the tensors of the pass at
        any time, without the weights, the batch and the workspace of an operation.

    Raises:
        InputError: If the time is not above zero.
    """
    if min_seconds <= 0:
        raise InputError(f"min_seconds {min_seconds} is not above 0; give a second or so")
    model.eval()
    model(*clips)
    timer = Timer(
        "model(*clips)",
        globals={"model": model, "clips": clips},
        num_threads=torch.get_num_threads(),
    )
    seconds = timer.blocked_autorange(min_run_time=min_seconds).median
    with _LiveTensors() as tensors:
        model(*clips)
    return 1000 * seconds, tensors.peak


class _LiveTensors(TorchDispatchMode):
    """Adds up the tensors that are alive after every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        given = {part.untyped_storage()._cdata for part in _tensors((args, kwargs))}
        for output in _tensors(outputs):
            storage = output.untyped_storage()
            # Views of arguments share the storage of a weight or the batch, which do not count.
            if storage._cdata not in given:
                self.live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.live = {key: entry for key, entry in self.live.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.live.values()))
        return outputs


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _uncounted(model: nn.Module, ran: set[str]) -> list[str]:
    """Layers with parameters that belong to no layer of a known class."""
    modules = dict(model.named_modules())
    found: dict[str, None] = {}
    for parameter, _ in model.named_parameters():
        owner, masked, _ = parameter.partition(".parametrizations.")
        owner = owner if masked else parameter.rpartition(".")[0]
        parts = owner.split(".")
        path = [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
        # A layer may use the weights of its children without running them, as a backbone does with
        # its graphs; the classifiers of the experts of an assembly do not run.
        if not any(
            isinstance(modules[name], (ClassifierHead, Adjacency))
            or (name in ran and _is_known(modules[name]))
            for name in path
        ):
            layer = next((name for name in path if name in ran), owner)
            found[f"{layer or 'the model'} ({_kind(modules[layer])})"] = None
    return list(found)


def _is_known(module: nn.Module) -> bool:
    return _macs.dispatch(type(module)) is not _macs.dispatch(object)


def _kind(module: nn.Module) -> str:
    # Torch gives a masked layer a class of its own.
    return type(module).__name__.removeprefix("Parametrized")


def _nonzero(values: Tensor | SparseTensor) -> int:
    if isinstance(values, SparseTensor):
        return values.nnz()
    return int(torch.count_nonzero(values))


def _linear(weight: Tensor, positions: int) -> tuple[int, int]:
    """Every weight is used once at every position."""
    return positions * weight.numel(), positions * _nonzero(weight)


def _pairs(per_pair: int, adjacency: Tensor | SparseTensor) -> tuple[int, int]:
    """An operation on all pairs of joints in every partition, or on the edges alone."""
    rows, columns = adjacency.size(0), adjacency.size(1)
    return per_pair * rows * columns, per_pair * _nonzero(adjacency)


def _sum(*costs: tuple[int, int]) -> tuple[int, int]:
    return sum(dense for dense, _ in costs), sum(effective for _, effective in costs)


@singledispatch
def _macs(module: nn.Module, inputs: Any, output: Any) -> tuple[int, int]:
    """Multiply-accumulates of a module without its children, dense and effective."""
    return 0, 0


@_macs.register(nn.modules.batchnorm._BatchNorm)
@_macs.register(nn.LayerNorm)
@_macs.register(nn.GroupNorm)
@_macs.register(PersonNorm)
@_macs.register(Adjacency)
@_macs.register(Place)
@_macs.register(DGMSTCN)
def _(module: nn.Module, inputs: Any, output: Any) -> tuple[int, int]:
    """Known layers whose own parameters are only added or multiplied element by element."""
    return 0, 0


@_macs.register(nn.Conv1d)
@_macs.register(nn.Conv2d)
def _(module: nn.Conv1d | nn.Conv2d, inputs: Any, output: Tensor) -> tuple[int, int]:
    return _linear(module.weight, output.numel() // module.out_channels)


@_macs.register
def _(module: nn.Linear, inputs: Any, output: Tensor) -> tuple[int, int]:
    # Placed channels are not counted.
    channels = module.place.offset if isinstance(module, PlacedLinear) else module.weight[:, 0]
    return _linear(module.weight, output.numel() // channels.size(-1))


@_macs.register
def _(module: STGraphConv, inputs: Any, output: Tensor) -> tuple[int, int]:
    x, adjacency = inputs
    adjacency = adjacency.graph if isinstance(adjacency, MapFirst) else adjacency
    frames = x[..., 0, 0].numel()
    # The reference implementation sums mapped features over the neighbours.
    dense, _ = _pairs(frames * module.out_channels, adjacency)
    channels = min(module.in_channels, module.out_channels)
    _, effective = _pairs(frames * channels, adjacency)
    return _sum((dense, effective), _linear(module.weight, x[..., 0].numel()))


@_macs.register
def _(module: AAGraphConv, inputs: Any, output: Tensor) -> tuple[int, int]:
    x, adjacency = inputs
    frames = x[..., 0, 0].numel()
    return _sum(
        _pairs(frames * module.embed_channels, adjacency),
        _pairs(frames * min(module.in_channels, module.out_channels), adjacency),
        _linear(module.embed.weight, x[..., 0].numel()),
        _linear(module.weight, x[..., 0].numel()),
    )


@_macs.register
def _(module: CTRGraphConv, inputs: Any, output: Tensor) -> tuple[int, int]:
    x, adjacency = inputs
    refine = module.refine.weight
    joints = x.size(-2)
    # Each partition's edges with each partition's own weights.
    edges = _edges_per_partition(adjacency, module.num_partitions)
    weights = refine.view(module.num_partitions, -1).count_nonzero(1)
    # The reference implementation maps every frame before it takes the mean.
    frames_more = x.size(0) * (x.size(1) - 1) * joints
    return _sum(
        _linear(module.relate.weight, x.size(0) * joints),
        (frames_more * module.relate.weight.numel(), 0),
        (
            x.size(0) * joints * joints * refine.numel(),
            x.size(0) * int((edges * weights.cpu()).sum()),
        ),
        _pairs(
            x[..., 0, 0].numel() * (module.value.out_features // module.num_partitions), adjacency
        ),
    )


@_macs.register
def _(module: DGGraphConv, inputs: Any, output: Tensor) -> tuple[int, int]:
    x, adjacency = inputs
    return _sum(
        _pairs(x.size(0) * module.group_channels, adjacency),
        _pairs(x[..., 0, 0].numel() * module.pre.out_features // module.num_partitions, adjacency),
    )


def _edges_per_partition(adjacency: Tensor | SparseTensor, num_partitions: int) -> Tensor:
    dense = adjacency.to_dense() if isinstance(adjacency, SparseTensor) else adjacency
    return dense.view(-1, num_partitions, dense.size(1)).count_nonzero((0, 2)).cpu()
