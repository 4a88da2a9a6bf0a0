"""The spatial halves of the stages, compiled."""

from __future__ import annotations

from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.typing import SparseTensor

from pyg_stgcn.models.blocks import Projection, SpatialUnit
from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv, STCAttention, STGraphConv
from pyg_stgcn.runtime.compiled_temporal import compile_map
from pyg_stgcn.runtime.fold import affine, copy_plain, double, followed_by, frames_first
from pyg_stgcn.runtime.lanes import LANES, frame_mean, in_lanes, num_blocks
from pyg_stgcn.runtime.layers import SparseConv, SparseGraphConv


def prior_graph(unit: SpatialUnit) -> Tensor:
    """The learnt graph of a unit by partition, source and target, ``[K, V, V]``."""
    with torch.no_grad():
        matrix = unit.adjacency()
    dense = matrix.to_dense() if isinstance(matrix, SparseTensor) else matrix
    rows = double(dense).view(unit.adjacency.num_joints, -1, unit.adjacency.num_joints)
    return rows.permute(1, 2, 0).contiguous()


class Spatial(nn.Module):
    """A graph convolution, batch norm, residual path, ReLU and attention.

    Args:
        unit (SpatialUnit): The unit to compile.
        halo (int): Frames of zeros around the output.
    """

    def __init__(self, unit: SpatialUnit, halo: int) -> None:
        super().__init__()
        self.conv = compile_graph_conv(unit.conv, unit, halo)
        self.project: SparseConv | None = None
        self.has_residual = unit.down is not None
        if isinstance(unit.down, Projection):
            self.project = compile_map(unit.down.linear, unit.down.norm)
        self.attention: Attention | None = None
        if unit.attention is not None:
            self.attention = Attention(unit.attention, unit.adjacency.num_joints, halo)

    def forward(self, x: Tensor) -> Tensor:
        """Convolves every frame with the graph."""
        residual = x if self.has_residual else None
        if self.project is not None:
            residual = self.project(x)
        out = self.conv(x, residual)
        return out if self.attention is None else self.attention(out)


class FixedGraph(nn.Module):
    """The graph convolution of ST-GCN and ST-GCN++."""

    def __init__(self, conv: STGraphConv, unit: SpatialUnit, halo: int) -> None:
        super().__init__()
        graph = prior_graph(unit)
        scale, shift = affine(unit.norm)
        weight = double(conv.weight).view(conv.out_channels, conv.num_partitions, -1)
        bias = shift[:, None].expand(-1, graph.size(1))
        if conv.bias is not None:
            arriving = double(conv.bias).view(conv.num_partitions, -1).t() @ graph.sum(1)
            bias = bias + scale[:, None] * arriving
        self.sum = SparseGraphConv(weight * scale[:, None, None], bias, graph, halo=halo)

    def forward(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Convolves every frame with the graph."""
        return self.sum(x, None, residual)


class SimilarityGraph(nn.Module):
    """The graph convolution of AAGCN."""

    prior: Tensor
    gate: Tensor

    def __init__(self, conv: AAGraphConv, unit: SpatialUnit, halo: int) -> None:
        super().__init__()
        graph = prior_graph(unit)
        self.num_joints = graph.size(1)
        self.embed = SparseConv(*frames_first(conv.embed))
        self.embed_channels = conv.embed_channels
        scale, shift = affine(unit.norm)
        weight = double(conv.weight).view(conv.out_channels, conv.num_partitions, -1)
        bias = scale * double(conv.bias).view(conv.num_partitions, -1).sum(0) + shift
        bias = bias[:, None].expand(-1, self.num_joints)
        self.sum = SparseGraphConv(weight * scale[:, None, None], bias, graph, halo=halo)
        prior = in_lanes(graph).float()
        self.register_buffer("prior", prior)
        self.register_buffer("gate", (double(conv.alpha) * (prior != 0)).float())

    def forward(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Convolves every frame with the graph of its sample."""
        products = torch.ops.pyg_stgcn.pairs(self.embed(x), 0, self.prior.size(0), self.num_joints)
        similarity = (products / (x.size(2) * self.embed_channels)).tanh_()
        graph = torch.addcmul(self.prior, self.gate, similarity)
        return self.sum(x, graph.flatten(2).unsqueeze(2), residual)


class ChannelGraph(nn.Module):
    """The graph convolution of CTR-GCN."""

    fixed: Tensor
    refine: Tensor

    def __init__(self, conv: CTRGraphConv, unit: SpatialUnit, halo: int) -> None:
        super().__init__()
        graph = prior_graph(unit)
        partitions, self.num_joints = graph.shape[:2]
        scale, shift = affine(unit.norm)

        def by_output(weight: Tensor) -> Tensor:
            return double(weight).view(partitions, conv.out_channels, -1).transpose(0, 1)

        self.sum = SparseGraphConv(
            by_output(conv.value.weight) * scale[:, None, None],
            shift[:, None].expand(-1, self.num_joints),
            graph,
            by_output(conv.value.bias).squeeze(2) * scale[:, None],
            halo=halo,
        )
        prior = in_lanes(graph)
        kept = (prior != 0).double()
        alpha = double(conv.alpha)
        weight = alpha * double(conv.refine.weight).view(partitions, conv.out_channels, -1)
        bias = alpha * double(conv.refine.bias).view(partitions, -1, 1)
        # The part that is the same for all samples is two more channels of the relation: this saves
        # a sum afterwards.
        self.register_buffer("fixed", torch.stack([prior, kept], 1).float())
        self.register_buffer("refine", torch.cat([weight, torch.ones_like(bias), bias], 2).float())
        self.relate = copy_plain(conv.relate)

    def forward(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Convolves every frame with the graphs of its sample."""
        partitions, lanes = self.fixed.size(0), self.fixed.size(3)
        mean = frame_mean(x, self.num_joints)
        related = self.relate(mean)
        related = related.view(*mean.shape[:2], 2, partitions, -1).permute(2, 0, 3, 4, 1)
        source, target = related[0], F.pad(related[1], (0, lanes - self.num_joints))
        relation = (source.unsqueeze(-1) - target.unsqueeze(-2)).tanh_()
        relation.mul_(self.fixed[:, 1:])
        relation = torch.cat([relation, self.fixed.expand(x.size(0), -1, -1, -1, -1)], 2)
        return self.sum(x, self.refine @ relation.flatten(3), residual)


class GroupGraph(nn.Module):
    """The graph convolution of DG-STGCN."""

    prior: Tensor
    alpha: Tensor
    beta: Tensor
    kept: Tensor

    def __init__(self, conv: DGGraphConv, unit: SpatialUnit, halo: int) -> None:
        super().__init__()
        graph = prior_graph(unit)
        self.num_joints = graph.size(1)
        # The temporal half needs a lane for the mean over the joints.
        self.spare = num_blocks(self.num_joints + 1) - num_blocks(self.num_joints)
        graph = F.pad(graph, (0, self.spare, 0, self.spare))
        weight, bias = followed_by(conv.pre_norm, *frames_first(conv.pre))
        edges = (graph != 0).any(0, keepdim=True).double()
        none = torch.zeros(len(bias), graph.size(1))
        self.sum = SparseGraphConv(
            weight, none, edges, bias.unsqueeze(1), relu=False, map_relu=True
        )
        weight, bias = followed_by(unit.norm, *frames_first(conv.post))
        self.post = SparseConv(weight, bias, relu=True, halo=halo)
        prior = in_lanes(graph)
        kept = prior != 0
        alpha, beta = (
            (factor if conv.subset_wise else factor[:1].expand_as(factor))[:, None, None]
            for factor in (double(conv.alpha), double(conv.beta))
        )
        self.register_buffer("prior", prior.float())
        self.register_buffer("alpha", (alpha * kept).unsqueeze(1).float())
        self.register_buffer("beta", (beta * kept).float())
        self.register_buffer("kept", kept)
        self.relate = copy_plain(conv.relate)

    def forward(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Convolves every frame with the graphs of its sample."""
        partitions, _, lanes = self.kept.shape
        mean = frame_mean(x, self.num_joints)
        related = self.relate(mean)
        related = related.view(*mean.shape[:2], 2, partitions, -1).permute(2, 0, 3, 4, 1)
        source = F.pad(related[0], (0, self.spare))
        target = F.pad(related[1], (0, lanes - self.num_joints))
        score = source.transpose(2, 3) @ target
        score = score.masked_fill_(~self.kept, torch.finfo(x.dtype).min).softmax(-2)
        common = torch.addcmul(self.prior, self.beta, score).unsqueeze(2)
        difference = (source.unsqueeze(-1) - target.unsqueeze(-2)).tanh_()
        graph = torch.addcmul(common, self.alpha, difference)
        features = self.sum(x, graph.flatten(1, 2).flatten(2).unsqueeze(1), None)
        return self.post(features, residual)


class OneChannel(nn.Module):
    r"""A convolution to one channel, faster than torch's: products first, then shifted sums.

    Args:
        conv (torch.nn.Conv1d): The convolution; its output is as long as its input.

    Shapes:
        - **input:** :math:`(P, C, L)`
        - **output:** :math:`(P, L)`
    """

    taps: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv1d) -> None:
        super().__init__()
        weight, bias = frames_first(conv)
        self.register_buffer("taps", weight[0].float().contiguous())
        self.register_buffer("bias", bias.float())

    def forward(self, x: Tensor) -> Tensor:
        """Convolves."""
        span = self.taps.size(0)
        # A product per person: one product of all persons would sum in an order that depends on
        # their number.
        products = torch.bmm(self.taps.expand(x.size(0), -1, -1), x)
        products = F.pad(products, (span // 2, span // 2)).contiguous()
        # Each tap is shifted by one more position: sums along diagonals.
        width = products.size(2)
        shape, steps = (x.size(0), span, x.size(2)), (span * width, width + 1, 1)
        return products.as_strided(shape, steps).sum(1) + self.bias


class Attention(nn.Module):
    """The three gates of AAGCN: computed from gated sums, and applied to the features once."""

    def __init__(self, module: STCAttention, num_joints: int, halo: int) -> None:
        super().__init__()
        self.num_joints = num_joints
        self.halo = halo
        self.joint_conv = OneChannel(module.joint_conv)
        self.frame_conv = OneChannel(module.frame_conv)
        self.squeeze, self.excite = copy_plain(module.squeeze), copy_plain(module.excite)

    def forward(self, x: Tensor) -> Tensor:
        """Weighs joints, frames and channels, in place."""
        spare = x.size(1) * LANES - self.num_joints
        mean = frame_mean(x, self.num_joints, self.halo).transpose(1, 2)
        joint = F.pad(1 + self.joint_conv(mean).sigmoid(), (0, spare))
        means = torch.ops.pyg_stgcn.joint_sum(x, self.halo, joint / self.num_joints)
        frame = 1 + self.frame_conv(means.transpose(1, 2)).sigmoid()
        mean = (means * frame.unsqueeze(2)).mean(1)
        channel = 1 + self.excite(self.squeeze(mean).relu()).sigmoid()
        torch.ops.pyg_stgcn.gate_(x, self.halo, joint, frame, channel)
        return x


@singledispatch
def compile_graph_conv(conv: nn.Module, unit: SpatialUnit, halo: int) -> nn.Module:
    """Compiles the graph convolution of a unit, with its batch norm, residual and ReLU."""
    raise TypeError(f"{type(conv).__name__}: no graph convolution of a stage")


@compile_graph_conv.register
def _(conv: STGraphConv, unit: SpatialUnit, halo: int) -> nn.Module:
    return FixedGraph(conv, unit, halo)


@compile_graph_conv.register
def _(conv: AAGraphConv, unit: SpatialUnit, halo: int) -> nn.Module:
    return SimilarityGraph(conv, unit, halo)


@compile_graph_conv.register
def _(conv: CTRGraphConv, unit: SpatialUnit, halo: int) -> nn.Module:
    return ChannelGraph(conv, unit, halo)


@compile_graph_conv.register
def _(conv: DGGraphConv, unit: SpatialUnit, halo: int) -> nn.Module:
    return GroupGraph(conv, unit, halo)
