"""The base of the graph convolutions: features and a graph with partitions."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import replace
from numbers import Integral

from torch import Tensor
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptTensor
from torch_geometric.utils import is_sparse

from pyg_stgcn.errors import InputError
from pyg_stgcn.nn.conv.graph_input import (
    GraphShape,
    TypedEdges,
    check_single_graph,
    in_precision_of,
    values_are_at_hand,
)

#: The features of source and target nodes; the same tensor twice if they are the same nodes.
Pair = tuple[Tensor, Tensor]


class PartitionedGraphConv(MessagePassing):
    r"""Base of the graph convolutions, which take edges with types, or one matrix.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`.
        node_dim (int): The dimension of the nodes in input and output.

    Raises:
        InputError: If a number is less than 1.
    """

    #: Whether edges may have no types although there are several partitions.
    untyped: bool = False

    def __init__(
        self, in_channels: int, out_channels: int, num_partitions: int, node_dim: int
    ) -> None:
        super().__init__(aggr="add", node_dim=-2)
        counts = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "num_partitions": num_partitions,
        }
        for name, count in counts.items():
            if not isinstance(count, Integral) or count < 1:
                raise InputError(f"{name}: {count!r}; give a whole number of at least 1")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.num_partitions = num_partitions
        self.input_node_dim = node_dim

    def forward(
        self,
        x: Tensor | Pair,
        edge_index: Adj | None = None,
        edge_weight: OptTensor = None,
        edge_type: OptTensor = None,
        dense_adj: OptTensor = None,
    ) -> Tensor:
        """Convolves the features with the graph.

        On a CPU, indices out of range are an error. On other devices the values are not read, so
        that nothing waits for them.

        Args:
            x (torch.Tensor or tuple): The node features; in a bipartite graph, those of the source
                nodes and those of the target nodes.
            edge_index (torch.Tensor or SparseTensor): The edges (row 0 source, row 1 target), or
                the weights of all of them as one sparse matrix, see above.
            edge_weight (torch.Tensor, optional): The weight of every edge (default: 1).
            edge_type (torch.Tensor, optional): The partition of every edge.
            dense_adj (torch.Tensor, optional): The weights of all edges as one dense matrix, see
                above, instead of the edges.

        Raises:
            InputError: If the features do not fit the layer; or if there is no graph or more than
                one, it does not fit the features, or edge types are missing.
        """
        pair = self._features(x)
        shape = self._graph_shape(pair)
        if dense_adj is not None:
            check_single_graph(edge_index, edge_weight, edge_type)
            if is_sparse(dense_adj):
                raise InputError("dense_adj: a sparse matrix; give it as edge_index")
            self._check_matrix(dense_adj, shape)
            out = self.convolve_dense(pair, in_precision_of(dense_adj, pair[0]))
        elif is_sparse(edge_index):
            check_single_graph(edge_weight, edge_type)
            self._check_matrix(edge_index, shape)
            out = self.convolve_sparse(pair, edge_index, shape)
        else:
            edges = shape.edges(edge_index, edge_weight, edge_type)
            if pair[0] is pair[1]:
                self._warn_of_nodes_first(pair[0], edges)
            out = self._convolve_edges(pair, edges)
        return out if self.input_node_dim == -2 else out.movedim(-2, self.input_node_dim)

    @abstractmethod
    def convolve_dense(self, x: Pair, adj: Tensor) -> Tensor:
        """Convolves features with a dense matrix."""

    @abstractmethod
    def convolve_edges(self, x: Pair, edges: TypedEdges) -> Tensor:
        """Convolves features along edges."""

    def convolve_sparse(self, x: Pair, adj: Adj, shape: GraphShape) -> Tensor:
        """Convolves features with a sparse matrix: along its edges."""
        return self._convolve_edges(x, shape.matrix_edges(adj))

    def check_channels(self, name: str, x: Tensor) -> None:
        """Raises an error unless features have the channels that the layer was made for."""
        if x.size(-1) != self.in_channels:
            raise InputError(
                f"{name}: {x.size(-1)} channels, shape {tuple(x.shape)}, but this layer was made "
                f"for {self.in_channels}; the channels are the last dimension"
            )

    def _convolve_edges(self, x: Pair, edges: TypedEdges) -> Tensor:
        if edges.weight is not None:
            edges = replace(edges, weight=in_precision_of(edges.weight, x[0]))
        return self.convolve_edges(x, edges)

    def _features(self, x: Tensor | Pair) -> Pair:
        """The features of sources and targets, the nodes in the last dimension but one."""
        if isinstance(x, Tensor):
            moved = self._nodes_last("x", x)
            self.check_channels("x", x)
            return moved, moved
        if not isinstance(x, (tuple, list)) or not _are_two_tensors(*x):
            raise InputError(
                "x: expected features, or a pair of them; of a bipartite graph give those of the "
                "source nodes and those of the target nodes, (x_src, x_dst)"
            )
        source, target = (self._nodes_last(f"x[{side}]", x[side]) for side in (0, 1))
        self.check_channels("x[0]", source)
        if source.shape[:-2] != target.shape[:-2]:
            raise InputError(
                f"x: source and target nodes of shapes {tuple(x[0].shape)} and "
                f"{tuple(x[1].shape)}; all dimensions but those of nodes and channels must agree"
            )
        return source, target

    def _graph_shape(self, x: Pair) -> GraphShape:
        nodes_first = x[0].dim() > 2 and self.input_node_dim == -2
        hint = "; for nodes first, [V, T, C], make the layer with node_dim=0" * nodes_first
        return GraphShape(x[0].size(-2), x[1].size(-2), self.num_partitions, self.untyped, hint)

    def _nodes_last(self, name: str, x: Tensor) -> Tensor:
        if self.input_node_dim not in (*range(x.dim() - 1), *range(-x.dim(), -1)):
            raise InputError(
                f"{name}: shape {tuple(x.shape)} has no nodes in dimension {self.input_node_dim}, "
                f"or no channels after them"
            )
        if not x.is_floating_point():
            raise InputError(f"{name}: {x.dtype}; give floating point numbers, as by x.float()")
        return x if self.input_node_dim == -2 else x.movedim(self.input_node_dim, -2)

    def _check_matrix(self, adj: Adj, shape: GraphShape) -> None:
        shape.check_matrix(adj)
        if self.explain:
            raise InputError(
                "graph: a matrix, but an explanation is of edges; give them as edge_index"
            )

    def _warn_of_nodes_first(self, x: Tensor, edges: TypedEdges) -> None:
        if (
            x.dim() == 3
            and self.input_node_dim == -2
            and x.size(0) != x.size(1)
            and edges.source.numel()
            and values_are_at_hand(edges.source)
            and 1 + max(int(edges.source.max()), int(edges.target.max())) == x.size(0)
        ):
            warnings.warn(
                f"x has shape {tuple(x.shape)}, of which this layer takes the second dimension for "
                f"the nodes, but the edges join the nodes 0 to {x.size(0) - 1}: if the first "
                f"dimension is that of the nodes, as in the clips of the datasets, make the layer "
                f"with node_dim=0",
                stacklevel=5,
            )

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}({self.in_channels}, {self.out_channels}, "
            f"num_partitions={self.num_partitions})"
        )


def _are_two_tensors(*sides: object) -> bool:
    return len(sides) == 2 and all(isinstance(side, Tensor) for side in sides)
