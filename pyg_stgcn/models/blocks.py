"""The stages that all backbones are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations
from torch_geometric.typing import SparseTensor

from pyg_stgcn.nn import (
    CTRMSTCN,
    MSTCN,
    AAGraphConv,
    Adjacency,
    CTRGraphConv,
    DGGraphConv,
    STCAttention,
    STGraphConv,
    TemporalConv,
    build_matrices,
)
from pyg_stgcn.nn.conv.map_first import MapFirst, partition_weights
from pyg_stgcn.nn.device_path import few_launches
from pyg_stgcn.nn.feature_norm import FeatureNorm
from pyg_stgcn.nn.features_last import features_last
from pyg_stgcn.nn.init import fan_out_
from pyg_stgcn.skeletons import SkeletonGraph

Graph: TypeAlias = Tensor | SparseTensor | MapFirst
GraphConv = STGraphConv | AAGraphConv | CTRGraphConv | DGGraphConv
TemporalUnit = TemporalConv | MSTCN | CTRMSTCN


@dataclass(frozen=True)
class Stage:
    """The options of one stage of a backbone.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Temporal stride.
        graph: The graph that the stage starts with.
        dropout: Dropout after the temporal convolution.
        residual: Whether there is a residual path around the stage.
    """

    in_channels: int
    out_channels: int
    stride: int
    graph: SkeletonGraph
    dropout: float
    residual: bool


class Projection(nn.Module):
    r"""A linear map and batch norm: the residual path if channels change (``down``).

    Args:
        in_channels (int): Channels :math:`C` of the input.
        out_channels (int): Channels :math:`C'` of the output.

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, T, V, C')`
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels)
        self.norm = FeatureNorm(out_channels)

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        self.linear.reset_parameters()
        self.norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Maps the channels."""
        return features_last(self.norm, self.linear(x))


class SpatialUnit(nn.Module):
    r"""A graph convolution with its own learnable graph, batch norm, a residual path and ReLU.

    Args:
        conv (torch.nn.Module): The graph convolution, :math:`C` to :math:`C'` channels.
        graph (SkeletonGraph): The graph to start with.
        adaptive (str): The learnt part of the graph, see :class:`~pyg_stgcn.nn.Adjacency`.
        residual (bool): If set to :obj:`True`, the input is added before the ReLU, through a
            :class:`Projection` if channels change. (default: :obj:`False`)
        zero_init (bool): If set to :obj:`True`, the batch norm starts with weights of
            :math:`10^{-6}`, so that the stage starts as its residual path. (default: :obj:`False`)
        attention (STCAttention, optional): Attention after the ReLU.

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, T, V, C')`
    """

    def __init__(
        self,
        conv: GraphConv,
        graph: SkeletonGraph,
        adaptive: str,
        residual: bool = False,
        zero_init: bool = False,
        attention: STCAttention | None = None,
    ) -> None:
        super().__init__()
        self.zero_init = zero_init
        # The other convolutions make a graph of all pairs for every clip.
        product = "auto" if isinstance(conv, STGraphConv) else "dense"
        self.adjacency = Adjacency(graph, adaptive, product)
        self.conv = conv
        self.norm = FeatureNorm(conv.out_channels)
        self.down: nn.Module | None = None
        if residual and conv.in_channels == conv.out_channels:
            self.down = nn.Identity()
        elif residual:
            self.down = Projection(conv.in_channels, conv.out_channels)
        self.attention = attention
        self._reset_residual()

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        self.adjacency.reset_parameters()
        self.conv.reset_parameters()
        self._reset_residual()
        if self.attention is not None:
            self.attention.reset_parameters()

    def _reset_residual(self) -> None:
        self.norm.reset_parameters()
        if isinstance(self.down, Projection):
            self.down.reset_parameters()
            if self.zero_init:
                fan_out_(self.down.linear)
        if self.zero_init:
            nn.init.constant_(self.norm.weight, 1e-6)

    def forward(self, x: Tensor, adj: Graph | None = None) -> Tensor:
        """Convolves every frame with the graph.

        Args:
            x (torch.Tensor): The features.
            adj (torch.Tensor or SparseTensor, optional): What :func:`build_graphs` gives, if it
                has been built already.
        """
        out = features_last(self._normalize, self._convolve(x, adj))
        if self.down is not None:
            out = add_residual(out, self.down(x)).relu_()
        return out if self.attention is None else self.attention(out)

    def _convolve(self, x: Tensor, adj: Graph | None) -> Tensor:
        if getattr(self.conv, "explain", False):  # PyG's masks are for messages along edges.
            graph = self.adjacency
            return self.conv(x, graph.edge_index, graph.weights(), graph.edge_type)
        if adj is None:
            (adj,) = build_graphs([self])
        maps_first = isinstance(self.conv, STGraphConv) and self.conv.maps_first
        if isinstance(adj, SparseTensor) and maps_first:
            # The graph of a skeleton is small: the dense product with fewer channels is faster.
            adj = adj.to_dense()
        return self.conv(x, dense_adj=adj) if isinstance(adj, Tensor) else self.conv(x, adj)

    def _normalize(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x)
        # Not on the features last, which are a view: autograd copies the gradients of in-place
        # operations on views three times.
        return out if self.down is not None else out.relu_()


def build_graphs(units: Sequence[SpatialUnit]) -> list[Graph]:
    """Builds the graphs of several units together, see :func:`~pyg_stgcn.nn.build_matrices`.

    On a GPU, dense graphs of :class:`~pyg_stgcn.nn.STGraphConv` come with its weights.
    """
    graphs = [unit.adjacency for unit in units]
    if not units or not few_launches(graphs[0].edge_index.device):
        return list(build_matrices(graphs))
    convs = [unit.conv for unit in units]
    if any(type_before_parametrizations(conv) is not STGraphConv for conv in convs):
        return list(build_matrices(graphs))
    matrices = build_matrices(graphs, by_source=True)
    weights = partition_weights(cast(list[STGraphConv], convs))
    return [
        MapFirst(matrix, weight) if isinstance(matrix, Tensor) else matrix
        for matrix, weight in zip(matrices, weights, strict=True)
    ]


class Block(nn.Module):
    r"""One stage: :math:`\mathrm{ReLU}(\mathrm{TCN}(\mathrm{GCN}(x)) + \mathrm{Res}(x))`.

    Args:
        stage (Stage): Channels, stride, and whether there is a residual path.
        gcn (SpatialUnit): The spatial half.
        tcn (torch.nn.Module): The temporal half.

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, \lceil T / \mathrm{stride} \rceil, V, C')`
    """

    def __init__(self, stage: Stage, gcn: SpatialUnit, tcn: TemporalUnit) -> None:
        super().__init__()
        self.gcn = gcn
        self.tcn = tcn
        self.residual: nn.Module | None
        if not stage.residual:
            self.residual = None
        elif stage.in_channels == stage.out_channels and stage.stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = TemporalConv(
                stage.in_channels, stage.out_channels, kernel_size=1, stride=stage.stride
            )

    def reset_parameters(self) -> None:
        """Draws new weights and resets the statistics."""
        self.gcn.reset_parameters()
        self.tcn.reset_parameters()
        if isinstance(self.residual, TemporalConv):
            self.residual.reset_parameters()

    def forward(self, x: Tensor, adj: Graph | None = None) -> Tensor:
        """Runs the stage, see :meth:`SpatialUnit.forward`."""
        out = self.tcn(self.gcn(x, adj))
        if self.residual is None:
            return out.relu()
        return add_residual(out, self.residual(x)).relu_()


def add_residual(out: Tensor, residual: Tensor) -> Tensor:
    """Adds the output of a residual path; one of fewer channels, to the first of them.

    Args:
        out: The other path, features last. It may be overwritten.
        residual: The residual path.
    """
    more = out.size(-1) - residual.size(-1)
    if not more:
        return out + residual
    if torch.compiler.is_compiling():
        return out + F.pad(residual, (0, more))
    out[..., :-more] += residual
    return out
