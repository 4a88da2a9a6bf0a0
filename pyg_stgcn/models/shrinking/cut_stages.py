"""The smaller stages of a backbone, whose paths are added and so agree in their channels."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.models.blocks import Block, Projection, SpatialUnit
from pyg_stgcn.models.plain_copy import double
from pyg_stgcn.models.shrinking.cut_attention import cut_attention
from pyg_stgcn.models.shrinking.cut_graph_convs import cut_graph_conv
from pyg_stgcn.models.shrinking.cut_layers import (
    State,
    cut_summand,
    put_place,
)
from pyg_stgcn.models.shrinking.cut_temporal import cut_temporal
from pyg_stgcn.models.shrinking.kept_channels import Channels
from pyg_stgcn.nn import CTRMSTCN, TemporalConv


def cut_block(block: Block, inputs: Channels, kept: Tensor, state: State, name: str) -> Channels:
    """Cuts a stage.

    A residual path without layers has fewer channels than the sum: they are the first of it.

    Args:
        block: The stage.
        inputs: Its inputs.
        kept: True for channels of the output that are computed in any case.
        state: Takes the tensors.
        name: The name of the stage.

    Returns:
        The channels of the output.
    """
    between = _cut_unit(block.gcn, inputs, state, f"{name}.gcn")
    num_joints = block.gcn.adjacency.num_joints
    own = cut_temporal(block.tcn, between, num_joints, state, f"{name}.tcn")
    total, side = own.channels, None
    if isinstance(block.residual, TemporalConv):
        side = cut_temporal(block.residual, inputs, num_joints, state, f"{name}.residual")
        total = total.plus(side.channels)
    elif block.residual is not None:
        total = inputs.plus(total)
    # The next stage takes constants that are the same at all joints.
    value = total.value.relu()
    total = total.with_kept(kept | (value != value[:1]).any(0))
    # Features of all channels are in their order: a classifier of several networks reads them.
    index = torch.arange(len(kept)) if bool(kept.all()) else total.index
    more = nothing = torch.zeros(1, len(kept)).double()
    if side is not None:
        side.finish(index, nothing)
    elif block.residual is not None and (
        isinstance(block.tcn, CTRMSTCN) or index is not total.index
    ):
        # The last layer of CTR-GCN is a ReLU: constants of the residual path come with the latter.
        offset = inputs.constants[:, index]
        if offset.any() or not torch.equal(inputs.index, index[: len(inputs.index)]):
            put_place(state, f"{name}.residual", inputs.places(index), offset)
    elif block.residual is not None:
        more = inputs.constants
    own.finish(index, more)
    return Channels(index, value[:1])


def _cut_unit(unit: SpatialUnit, inputs: Channels, state: State, name: str) -> Channels:
    graph = double(unit.adjacency.by_partition())
    for part, tensor in unit.adjacency.state_dict().items():
        state[f"{name}.adjacency.{part}"] = tensor
    own = cut_graph_conv(unit.conv, unit.norm, graph, inputs, state, name)
    total, more = own.channels, torch.zeros(1, own.channels.value.size(1)).double()
    side = None
    if isinstance(unit.down, Projection):
        side = cut_summand(unit.down.linear, inputs, state, f"{name}.down.linear", unit.down.norm)
        total = total.plus(side.channels)
    elif unit.down is not None:
        total, more = inputs.plus(total), inputs.constants
    out = total.relu()
    if unit.attention is not None:
        out = cut_attention(unit.attention, out, state, f"{name}.attention")
    own.finish(out.index, more)
    if side is not None:
        side.finish(out.index, torch.zeros_like(more))
    return out
