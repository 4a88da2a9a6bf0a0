"""The place of every tensor of a backbone in PYSKL's implementation of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, Projection, SpatialUnit
from pyg_stgcn.models.ctrgcn import CTRGCN
from pyg_stgcn.nn import (
    CTRMSTCN,
    DGMSTCN,
    MSTCN,
    AAGraphConv,
    Adjacency,
    CTRGraphConv,
    DGGraphConv,
    PersonNorm,
    STCAttention,
    STGraphConv,
    TemporalConv,
)
from pyg_stgcn.nn.multi_scale import TemporalBranches
from pyg_stgcn.skeletons.partitions import FAINT_WEIGHT

State = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
# Their 1x1 convolutions are linear maps here.
POINT = (1, 1)
NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Entry:
    """Tensors of ours and of theirs that hold the same numbers.

    Args:
        ours: Our names and shapes.
        theirs: Their names and shapes.
        grid: The shape that their numbers, one tensor after the other, are seen in.
        order: The order of the dimensions of this shape in which ours stand.
    """

    ours: Shapes
    theirs: Shapes
    grid: tuple[int, ...] = (-1,)
    order: tuple[int, ...] = (0,)

    def read(self, state: State) -> dict[str, Tensor]:
        """Our tensors, from a state of theirs."""
        numbers = _joined(state, self.theirs).view(self.grid).permute(self.order)
        return _parted(numbers, self.ours)

    def write(self, state: State) -> dict[str, Tensor]:
        """Their tensors, from a state of ours."""
        numbers = _joined(state, self.ours).view([self.grid[i] for i in self.order])
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        return _parted(numbers.permute(back), self.theirs)


@dataclass(frozen=True)
class Counter(Entry):
    """Numbers of batches seen: all the same, however many norms there are."""

    def read(self, state: State) -> dict[str, Tensor]:
        """Our counters, from a state of theirs."""
        return dict.fromkeys(self.ours, torch.stack([state[name] for name in self.theirs]).max())

    def write(self, state: State) -> dict[str, Tensor]:
        """Their counters, from a state of ours."""
        count = torch.stack([state[name] for name in self.ours]).max()
        return {name: count.clone() for name in self.theirs}


@dataclass(frozen=True)
class EdgeEntry(Entry):
    """Numbers of edges, of which theirs are a dense ``[K, V, V]``.

    Args:
        place: The places of our edges in theirs.
        is_factor: Whether these are factors of the edges' weights, and not the weights.
    """

    place: Tensor = field(kw_only=True)
    is_factor: bool = False

    @property
    def fill(self) -> float:
        """The values of their dense tensor outside of our edges."""
        return 1.0 if self.is_factor else 0.0

    def read(self, state: State) -> dict[str, Tensor]:
        """The numbers at our edges."""
        values = _joined(state, self.theirs)
        weight = values[self.place.to(values.device)]
        # If all pairs are edges, those of weight zero can be learnt.
        if not self.is_factor and weight.numel() == values.numel():
            weight = torch.where(weight == 0, FAINT_WEIGHT, weight)
        return _parted(weight, self.ours)

    def write(self, state: State) -> dict[str, Tensor]:
        """Our edges as their dense tensor."""
        weight = _joined(state, self.ours)
        ((name, shape),) = self.theirs.items()
        dense = weight.new_full(shape, self.fill).flatten()
        dense[self.place.to(weight.device)] = torch.where(weight == FAINT_WEIGHT, 0, weight)
        return {name: dense.view(shape)}

    def exceeds(self, state: State) -> bool:
        """True if theirs has values outside of our edges."""
        values = _joined(state, self.theirs).clone()
        values[self.place.to(values.device)] = self.fill
        return bool((values != self.fill).any())


def _joined(state: State, shapes: Shapes) -> Tensor:
    return torch.cat([state[name].reshape(-1) for name in shapes])


def _parted(numbers: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    parts = numbers.reshape(-1).split([torch.Size(shape).numel() for shape in shapes.values()])
    return {
        name: part.reshape(shape).clone()
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def backbone_entries(model: Backbone) -> Iterator[Entry]:
    """The entries of a backbone without its classifier."""
    is_ctrgcn = isinstance(model, CTRGCN)
    root, gcn, tcn = ("net", "gcn1", "tcn1") if is_ctrgcn else ("gcn", "gcn", "tcn")
    yield from entries(model.data_norm, "data_norm", "data_bn")
    for number, block in enumerate(cast(list[Block], list(model.stages))):
        ours, theirs = f"stages.{number}", f"{root}.{number}"
        yield from entries(block.gcn, f"{ours}.gcn", f"{theirs}.{gcn}")
        yield from entries(block.tcn, f"{ours}.tcn", f"{theirs}.{tcn}")
        if isinstance(block.residual, TemporalConv):
            yield from entries(block.residual, f"{ours}.residual", f"{theirs}.residual")


@singledispatch
def entries(module: nn.Module, ours: str, theirs: str) -> Iterator[Entry]:
    """The entries of a module: our name of it, their name of it."""
    raise TypeError(f"{type(module).__name__} has no counterpart in PYSKL")


@entries.register
def _(module: PersonNorm, ours: str, theirs: str) -> Iterator[Entry]:
    slots = [f"{ours}.slots.{number}" for number in range(len(module.slots))]
    for name in NORM:
        yield Entry(
            {f"{slot}.{name}": (module.num_features,) for slot in slots},
            {f"{theirs}.{name}": (len(slots) * module.num_features,)},
        )
    yield _counter(slots, [theirs])


@entries.register
def _(module: nn.BatchNorm1d, ours: str, theirs: str) -> Iterator[Entry]:
    yield from _norm(ours, {theirs: module.num_features})


@entries.register
def _(module: SpatialUnit, ours: str, theirs: str) -> Iterator[Entry]:
    yield from _edges(module.adjacency, f"{ours}.adjacency", theirs)
    yield from entries(module.conv, f"{ours}.conv", theirs)
    yield from _norm(f"{ours}.norm", {f"{theirs}.bn": module.conv.out_channels})
    if isinstance(module.down, Projection):
        yield from _affine(module.down.linear, f"{ours}.down.linear", [f"{theirs}.down.0"], POINT)
        yield from _norm(f"{ours}.down.norm", {f"{theirs}.down.1": module.conv.out_channels})
    if module.attention is not None:
        yield from entries(module.attention, f"{ours}.attention", theirs)


@entries.register
def _(module: STGraphConv, ours: str, theirs: str) -> Iterator[Entry]:
    yield _partition_weight(module, f"{ours}.weight", [f"{theirs}.conv.weight"])
    yield _same(module.bias, f"{ours}.bias", f"{theirs}.conv.bias")


@entries.register
def _(module: AAGraphConv, ours: str, theirs: str) -> Iterator[Entry]:
    kinds = range(module.num_partitions)
    embeddings = [f"{theirs}.conv_{letter}.{kind}" for letter in "ab" for kind in kinds]
    yield from _affine(module.embed, f"{ours}.embed", embeddings, POINT)
    maps = [f"{theirs}.conv_d.{kind}" for kind in kinds]
    yield _partition_weight(module, f"{ours}.weight", [f"{name}.weight" for name in maps])
    yield Entry(
        {f"{ours}.bias": tuple(module.bias.shape)},
        {f"{name}.bias": (module.out_channels,) for name in maps},
    )
    yield _same(module.alpha, f"{ours}.alpha", f"{theirs}.alpha")


@entries.register
def _(module: CTRGraphConv, ours: str, theirs: str) -> Iterator[Entry]:
    def convs(*numbers: int) -> list[str]:
        kinds = range(module.num_partitions)
        return [f"{theirs}.convs.{kind}.conv{number}" for number in numbers for kind in kinds]

    yield from _affine(module.relate, f"{ours}.relate", convs(1, 2), POINT)
    yield from _affine(module.value, f"{ours}.value", convs(3), POINT)
    yield from _affine(module.refine, f"{ours}.refine", convs(4), POINT)
    yield _same(module.alpha, f"{ours}.alpha", f"{theirs}.alpha")


@entries.register
def _(module: DGGraphConv, ours: str, theirs: str) -> Iterator[Entry]:
    yield from _affine(module.pre, f"{ours}.pre", [f"{theirs}.pre.0"], POINT)
    yield from _norm(f"{ours}.pre_norm", {f"{theirs}.pre.1": module.pre.out_features})
    relations = [f"{theirs}.conv1", f"{theirs}.conv2"]
    yield from _affine(module.relate, f"{ours}.relate", relations, POINT)
    yield from _affine(module.post, f"{ours}.post", [f"{theirs}.post"], POINT)
    yield _same(module.alpha, f"{ours}.alpha", f"{theirs}.alpha")
    yield _same(module.beta, f"{ours}.beta", f"{theirs}.beta")


@entries.register
def _(module: STCAttention, ours: str, theirs: str) -> Iterator[Entry]:
    yield from _affine(module.joint_conv, f"{ours}.joint_conv", [f"{theirs}.conv_sa"])
    yield from _affine(module.frame_conv, f"{ours}.frame_conv", [f"{theirs}.conv_ta"])
    yield from _affine(module.squeeze, f"{ours}.squeeze", [f"{theirs}.fc1c"])
    yield from _affine(module.excite, f"{ours}.excite", [f"{theirs}.fc2c"])


@entries.register
def _(module: TemporalConv, ours: str, theirs: str) -> Iterator[Entry]:
    yield from _affine(module.conv, f"{ours}.conv", [f"{theirs}.conv"])
    yield from _norm(f"{ours}.norm", {f"{theirs}.bn": module.conv.out_channels})


@entries.register
def _(module: MSTCN, ours: str, theirs: str) -> Iterator[Entry]:
    yield from _branches(module.branches, f"{ours}.branches", f"{theirs}.branches", plain="")
    width = module.mix.out_features
    yield from _norm(f"{ours}.branch_norm", {f"{theirs}.transform.0": width})
    yield from _affine(module.mix, f"{ours}.mix", [f"{theirs}.transform.2"], POINT)
    yield from _norm(f"{ours}.norm", {f"{theirs}.bn": width})
    if isinstance(module, DGMSTCN):
        yield _same(module.joint_factor, f"{ours}.joint_factor", f"{theirs}.add_coeff")


@entries.register
def _(module: CTRMSTCN, ours: str, theirs: str) -> Iterator[Entry]:
    branches, name = module.branches, f"{theirs}.branches"
    yield from _branches(branches, f"{ours}.branches", name, plain=".0")
    ends = [f"{name}.0.3.bn", f"{name}.1.3.bn", f"{name}.2.4", f"{name}.3.1"]
    widths = [*branches.widths, module.norm.num_features - sum(branches.widths)]
    # Narrow layers lack the last branches.
    present = {end: width for end, width in zip(ends, widths, strict=False) if width}
    yield from _norm(f"{ours}.norm", present)


def _branches(module: TemporalBranches, ours: str, theirs: str, plain: str) -> Iterator[Entry]:
    first = {f"{theirs}.{number}": width for number, width in enumerate(module.widths)}
    maps = {f"{name}.0": width for name, width in first.items()}
    yield from _affine(module.reduce, f"{ours}.reduce", maps, POINT)
    yield from _norm(f"{ours}.norm", {f"{name}.1": width for name, width in first.items()})
    for number, conv in enumerate(cast(list[nn.Conv2d], list(module.convs))):
        yield from _affine(conv, f"{ours}.convs.{number}", [f"{theirs}.{number}.3.conv"])
    if module.plain is not None:
        last = f"{theirs}.{len(module.widths)}{plain}"
        yield from _affine(module.plain, f"{ours}.plain", [last], POINT)


def _edges(module: Adjacency, ours: str, theirs: str) -> Iterator[Entry]:
    size = (module.num_partitions, module.num_joints, module.num_joints)
    source, target = module.edge_index
    place = (module.edge_type * size[1] + source) * size[2] + target
    count = (place.numel(),)
    if module.adaptive == "importance":
        yield EdgeEntry({f"{ours}.graph_weight": count}, {f"{theirs}.A": size}, place=place)
        yield EdgeEntry(
            {f"{ours}.edge_weight": count}, {f"{theirs}.PA": size}, place=place, is_factor=True
        )
    else:
        yield EdgeEntry({f"{ours}.edge_weight": count}, {f"{theirs}.A": size}, place=place)


def _partition_weight(module: STGraphConv | AAGraphConv, ours: str, theirs: Sequence[str]) -> Entry:
    """Ours ``[C', K*C]``; theirs one or K tensors, the partitions below one another."""
    grid = (module.num_partitions, module.out_channels, module.in_channels)
    rows = grid[0] * grid[1] // len(theirs)
    return Entry(
        {ours: tuple(module.weight.shape)},
        dict.fromkeys(theirs, (rows, module.in_channels, *POINT)),
        grid,
        (1, 0, 2),
    )


def _affine(
    layer: nn.Linear | nn.Conv1d | nn.Conv2d,
    ours: str,
    theirs: Mapping[str, int] | Sequence[str],
    kernel: tuple[int, ...] = (),
) -> Iterator[Entry]:
    """Weight and bias of a layer; theirs are several layers, of given or of equal widths."""
    rows, *columns = layer.weight.shape
    if not isinstance(theirs, Mapping):
        theirs = dict.fromkeys(theirs, rows // len(theirs))
    yield Entry(
        {f"{ours}.weight": tuple(layer.weight.shape)},
        {f"{name}.weight": (width, *columns, *kernel) for name, width in theirs.items()},
    )
    yield Entry(
        {f"{ours}.bias": (rows,)}, {f"{name}.bias": (width,) for name, width in theirs.items()}
    )


def _norm(ours: str, theirs: Mapping[str, int]) -> Iterator[Entry]:
    """Weights and statistics of a batch norm; theirs are several, of the given widths."""
    for name in NORM:
        yield Entry(
            {f"{ours}.{name}": (sum(theirs.values()),)},
            {f"{norm}.{name}": (width,) for norm, width in theirs.items()},
        )
    yield _counter([ours], list(theirs))


def _counter(ours: Sequence[str], theirs: Sequence[str]) -> Counter:
    return Counter(
        {f"{name}.num_batches_tracked": () for name in ours},
        {f"{name}.num_batches_tracked": () for name in theirs},
    )


def _same(value: Tensor, ours: str, theirs: str) -> Entry:
    return Entry({ours: tuple(value.shape)}, {theirs: tuple(value.shape)})
