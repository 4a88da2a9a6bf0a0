"""The instructions of the spatial halves of the stages."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor, nn
from torch_geometric.typing import SparseTensor

from pyg_stgcn.models.blocks import Projection, SpatialUnit
from pyg_stgcn.models.plain_copy import affine, double
from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv, STCAttention, STGraphConv
from pyg_stgcn.runtime.fold import followed_by, frames_first
from pyg_stgcn.runtime.program_builder import NONE, ProgramBuilder
from pyg_stgcn.runtime.temporal_program import compile_map


def compile_spatial(unit: SpatialUnit, builder: ProgramBuilder, x: int) -> int:
    """Compiles a graph convolution, batch norm, residual path, ReLU and attention."""
    residual = NONE if unit.down is None else x
    if isinstance(unit.down, Projection):
        residual = compile_map(unit.down.linear, unit.down.norm, builder, x)
    out = compile_graph_conv(unit.conv, unit, builder, x, residual)
    if unit.attention is not None:
        _attention(unit.attention, builder, out)
    return out


@singledispatch
def compile_graph_conv(
    conv: nn.Module, unit: SpatialUnit, builder: ProgramBuilder, x: int, residual: int
) -> int:
    """Compiles the graph convolution of a unit, with its batch norm, residual and ReLU."""
    raise TypeError(f"{type(conv).__name__}: no graph convolution of a stage")


@compile_graph_conv.register
def _(conv: STGraphConv, unit: SpatialUnit, builder: ProgramBuilder, x: int, residual: int) -> int:
    graph = prior_graph(unit)
    scale, shift = affine(unit.norm)
    weight = double(conv.weight).view(conv.out_channels, conv.num_partitions, -1)
    bias = shift[:, None].expand(-1, graph.size(1))
    if conv.bias is not None:
        arriving = double(conv.bias).view(conv.num_partitions, -1).t() @ graph.sum(1)
        bias = bias + scale[:, None] * arriving
    return builder.graph_conv(x, weight * scale[:, None, None], bias, graph, residual=residual)


@compile_graph_conv.register
def _(conv: AAGraphConv, unit: SpatialUnit, builder: ProgramBuilder, x: int, residual: int) -> int:
    graph = prior_graph(unit)
    partitions, num_joints, _ = graph.shape
    embedded = builder.conv(x, *frames_first(conv.embed))
    prior = builder.in_lanes(graph)
    factors = builder.graph(partitions)
    numbers = {"in": embedded, "out": factors}
    numbers |= {"partitions": partitions, "channels": conv.embed_channels}
    gate = double(conv.alpha) * (prior != 0)
    builder.emit("similarity", numbers, prior=prior, gate=gate)
    scale, shift = affine(unit.norm)
    weight = double(conv.weight).view(conv.out_channels, partitions, -1) * scale[:, None, None]
    bias = scale * double(conv.bias).view(partitions, -1).sum(0) + shift
    bias = bias[:, None].expand(-1, num_joints)
    return builder.graph_conv(x, weight, bias, graph, residual=residual, factors=factors)


@compile_graph_conv.register
def _(conv: CTRGraphConv, unit: SpatialUnit, builder: ProgramBuilder, x: int, residual: int) -> int:
    graph = prior_graph(unit)
    partitions, num_joints, _ = graph.shape
    scale, shift = affine(unit.norm)
    prior = builder.in_lanes(graph)
    kept = (prior != 0).double()
    alpha = double(conv.alpha)
    weight = alpha * double(conv.refine.weight).view(partitions, conv.out_channels, -1)
    bias = alpha * double(conv.refine.bias).view(partitions, -1, 1)
    factors = builder.graph(partitions * conv.out_channels)
    # The part that is the same for all samples is two more channels of the relation: this saves
    # a sum afterwards.
    builder.emit(
        "channel_graph",
        {"in": x, "out": factors},
        relate_weight=double(conv.relate.weight),
        relate_bias=double(conv.relate.bias),
        fixed=torch.stack([prior, kept], 1),
        refine=torch.cat([weight, torch.ones_like(bias), bias], 2),
    )

    def by_output(weight: Tensor) -> Tensor:
        return double(weight).view(partitions, conv.out_channels, -1).transpose(0, 1)

    return builder.graph_conv(
        x,
        by_output(conv.value.weight) * scale[:, None, None],
        shift[:, None].expand(-1, num_joints),
        graph,
        by_output(conv.value.bias).squeeze(2) * scale[:, None],
        residual=residual,
        factors=factors,
    )


@compile_graph_conv.register
def _(conv: DGGraphConv, unit: SpatialUnit, builder: ProgramBuilder, x: int, residual: int) -> int:
    graph = prior_graph(unit)
    prior = builder.in_lanes(graph)
    kept = (prior != 0).double()
    alpha, beta = (
        (factor if conv.subset_wise else factor[:1].expand_as(factor))[:, None, None] * kept
        for factor in (double(conv.alpha), double(conv.beta))
    )
    weight, bias = followed_by(conv.pre_norm, *frames_first(conv.pre))
    factors = builder.graph(len(bias))
    builder.emit(
        "group_graph",
        {"in": x, "out": factors},
        relate_weight=double(conv.relate.weight),
        relate_bias=double(conv.relate.bias),
        prior=prior,
        alpha=alpha,
        beta=beta,
        kept=kept,
    )
    grouped = builder.graph_conv(
        x,
        weight,
        torch.zeros(len(bias), graph.size(1)),
        (graph != 0).any(0, keepdim=True).double(),
        bias.unsqueeze(1),
        relu=False,
        map_relu=True,
        factors=factors,
    )
    weight, bias = followed_by(unit.norm, *frames_first(conv.post))
    return builder.conv(grouped, weight, bias, relu=True, residual=residual)


def prior_graph(unit: SpatialUnit) -> Tensor:
    """The learnt graph of a unit by partition, source and target, ``[K, V, V]``."""
    with torch.no_grad():
        matrix = unit.adjacency()
    dense = matrix.to_dense() if isinstance(matrix, SparseTensor) else matrix
    rows = double(dense).view(unit.adjacency.num_joints, -1, unit.adjacency.num_joints)
    return rows.permute(1, 2, 0).contiguous()


def _attention(module: STCAttention, builder: ProgramBuilder, at: int) -> None:
    """The three gates of AAGCN, in place."""
    arrays: dict[str, Tensor] = {}
    for name, conv in (("joint", module.joint_conv), ("frame", module.frame_conv)):
        weight, bias = frames_first(conv)
        arrays |= {f"{name}_taps": weight[0], f"{name}_bias": bias}
    for name, linear in (("squeeze", module.squeeze), ("excite", module.excite)):
        arrays |= {f"{name}_weight": double(linear.weight), f"{name}_bias": double(linear.bias)}
    builder.emit("attention", {"at": at}, **arrays)
