"""The base of the graph convolutions that learn a part of their graph from the data."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptTensor, SparseTensor

from pyg_stgcn.nn.conv.graph_checks import check_edges, check_matrix


@dataclass(frozen=True)
class TypedEdges:
    """The edges of a graph, with types and weights.

    Args:
        source: The source nodes.
        target: The target nodes.
        kind: The partitions.
        weight: The prior weights.
        num_partitions: The number of partitions :math:`K`.
    """

    source: Tensor
    target: Tensor
    kind: Tensor
    weight: Tensor
    num_partitions: int

    @property
    def typed_source(self) -> Tensor:
        """The sources, every node split into K."""
        return self.source * self.num_partitions + self.kind

    @property
    def typed_target(self) -> Tensor:
        """The targets, every node split into K."""
        return self.target * self.num_partitions + self.kind


class AdaptiveGraphConv(MessagePassing):
    r"""Base of the graph convolutions that take a graph as the prior and learn the rest.

    The graph is given as edges or as one matrix. Along edges, the learnt part is computed edge by
    edge. With a matrix :math:`(V K, V)` it is computed for all pairs of nodes at once, which is
    faster for small graphs with many edges. Both agree. An edge or entry of weight zero carries no
    message: the learnt part does not bring it back.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`.
    """

    def __init__(self, in_channels: int, out_channels: int, num_partitions: int) -> None:
        super().__init__(aggr="add", node_dim=-2)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.num_partitions = num_partitions

    def forward(
        self,
        x: Tensor,
        edge_index: Adj | None = None,
        edge_weight: OptTensor = None,
        edge_type: OptTensor = None,
        dense_adj: OptTensor = None,
    ) -> Tensor:
        """Convolves the features with the graph.

        Args:
            x (torch.Tensor): The node features; without frames, those of one frame.
            edge_index (torch.Tensor or SparseTensor): The edges (row 0 source, row 1 target), or
                the prior weights of all pairs as one sparse matrix, see above.
            edge_weight (torch.Tensor, optional): The prior weight of every edge (default: 1).
            edge_type (torch.Tensor, optional): The partition of every edge; needed if
                :obj:`num_partitions` is not 1.
            dense_adj (torch.Tensor, optional): The prior weights of all pairs as one dense matrix,
                instead of the edges.

        Raises:
            InputError: If there is no graph or more than one, the edge types are missing, or the
                matrix has the wrong size.
        """
        frames = x.view(-1, *x.shape[-3:]) if x.dim() > 2 else x[None, None]
        if dense_adj is None and isinstance(edge_index, SparseTensor):
            dense_adj, edge_index = edge_index.to_dense(), None
        if dense_adj is not None:
            check_matrix(
                dense_adj, x.size(-2), self.num_partitions, edge_index, edge_weight, edge_type
            )
            prior = dense_adj.view(x.size(-2), self.num_partitions, x.size(-2)).transpose(0, 1)
            out = self.all_pairs(frames, prior)
        else:
            edge_index = check_edges(edge_index, edge_type, self.num_partitions)
            out = self.along_edges(frames, self._edges(x, edge_index, edge_weight, edge_type))
        return out.reshape(*x.shape[:-1], self.out_channels)

    @abstractmethod
    def all_pairs(self, x: Tensor, prior: Tensor) -> Tensor:
        """Convolves ``x [P, T, V, C]`` with a graph of all pairs around ``prior [K, W, V]``."""

    @abstractmethod
    def along_edges(self, x: Tensor, edges: TypedEdges) -> Tensor:
        """Convolves ``x [P, T, V, C]`` along the given edges."""

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """The features at the source of every edge, times the weight of the edge."""
        return weight * x_j

    def _edges(
        self, x: Tensor, edge_index: Tensor, edge_weight: OptTensor, edge_type: OptTensor
    ) -> TypedEdges:
        source, target = edge_index
        kind = torch.zeros_like(source) if edge_type is None else edge_type
        weight = x.new_ones(source.numel()) if edge_weight is None else edge_weight
        return TypedEdges(source, target, kind, weight, self.num_partitions)

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}({self.in_channels}, {self.out_channels}, "
            f"num_partitions={self.num_partitions})"
        )


def channel_product(x: Tensor, graph: Tensor) -> Tensor:
    r"""The product of every channel with a graph of its own.

    Args:
        x (torch.Tensor): The features.
        graph (torch.Tensor): One matrix per channel, targets before sources.

    Shapes:
        - **x:** :math:`(P, T, V, C)`, **graph:** :math:`(P, C, W, V)`
        - **output:** :math:`(P, T, W, C)`
    """
    return (x.permute(0, 3, 1, 2) @ graph.transpose(2, 3)).permute(0, 2, 3, 1)
