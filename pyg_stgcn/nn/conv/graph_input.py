"""Reads the graph that a graph convolution is given, and checks it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import Adj, OptTensor, SparseTensor
from torch_geometric.utils import to_edge_index

from pyg_stgcn.errors import InputError


@dataclass(frozen=True)
class TypedEdges:
    """The edges of a graph, with types and weights.

    Args:
        source: The source nodes.
        target: The target nodes.
        kind: The partitions; if it is not given, nodes are not split.
        weight: The weights (default: 1).
        num_partitions: The number of partitions :math:`K`.
    """

    source: Tensor
    target: Tensor
    kind: OptTensor
    weight: OptTensor
    num_partitions: int

    @property
    def typed_source(self) -> Tensor:
        """The sources, every node split into K."""
        return self._split(self.source)

    @property
    def typed_target(self) -> Tensor:
        """The targets, every node split into K."""
        return self._split(self.target)

    def _split(self, nodes: Tensor) -> Tensor:
        return nodes if self.kind is None else nodes * self.num_partitions + self.kind


@dataclass(frozen=True)
class GraphShape:
    """The shape of the graphs that fit a layer and its input.

    Args:
        num_sources: The number of source nodes.
        num_targets: The number of target nodes.
        num_partitions: The number of partitions :math:`K`.
        untyped: Whether edges may have no types although there are several partitions.
        hint: What may be wrong with the features if an edge has a node that they do not have.
    """

    num_sources: int
    num_targets: int
    num_partitions: int
    untyped: bool
    hint: str

    def check_matrix(self, adj: Adj) -> None:
        """Raises an error unless a matrix has this shape."""
        size = (adj.size(0), adj.size(1))
        expected = (self.num_targets * self.num_partitions, self.num_sources)
        if size != expected and not (self.untyped and size == (self.num_targets, expected[1])):
            nodes = f"{self.num_sources} nodes"
            if self.num_sources != self.num_targets:
                nodes = f"{self.num_sources} source nodes, {self.num_targets} target nodes"
            raise InputError(
                f"graph: a matrix of size {size}, but {nodes} and "
                f"{self.num_partitions} partitions need {expected}"
            )

    def matrix_edges(self, adj: Adj) -> TypedEdges:
        """The edges of a sparse matrix of this shape."""
        if isinstance(adj, Tensor) and adj.layout == torch.sparse_coo:
            adj = adj.coalesce()  # PyG takes every such matrix for one of unique entries.
            (row, source), weight = adj.indices(), adj.values()
        else:
            (row, source), weight = to_edge_index(adj)
        if self.num_partitions == 1 or adj.size(0) != self.num_targets * self.num_partitions:
            return TypedEdges(source, row, None, weight, self.num_partitions)
        target = row.div(self.num_partitions, rounding_mode="floor")
        return TypedEdges(source, target, row % self.num_partitions, weight, self.num_partitions)

    def edges(
        self, edge_index: Tensor | None, edge_weight: OptTensor, edge_type: OptTensor
    ) -> TypedEdges:
        """The given edges.

        Raises:
            InputError: If they do not fit.
        """
        edge_index = _check_edge_index(edge_index)
        num_edges = edge_index.size(1)
        if edge_weight is not None:
            if edge_weight.numel() != num_edges:
                raise InputError(
                    f"edge_weight: shape {tuple(edge_weight.shape)}, but there are {num_edges} "
                    f"edges; give one number per edge"
                )
            edge_weight = edge_weight.reshape(-1)
        if edge_type is not None:
            if edge_type.shape != (num_edges,) or not _is_integer(edge_type):
                raise InputError(
                    f"edge_type: expected whole numbers of shape ({num_edges},), one per edge, got "
                    f"{edge_type.dtype} of shape {tuple(edge_type.shape)}"
                )
            edge_type = edge_type.long()
            _check_range("edge_type", edge_type, self.num_partitions, "num_partitions is {size}")
        elif self.num_partitions > 1 and not self.untyped:
            raise InputError(
                f"edge_type: missing, but this layer has {self.num_partitions} partitions; give "
                f"the partition of every edge"
            )
        source, target = edge_index
        limit = "x has {size} nodes" + self.hint
        _check_range("edge_index[0]", source, self.num_sources, limit)
        _check_range("edge_index[1]", target, self.num_targets, limit)
        return TypedEdges(source, target, edge_type, edge_weight, self.num_partitions)


def values_are_at_hand(tensor: Tensor) -> bool:
    """Whether the values of a tensor can be read now, without waiting for a device."""
    # A tensor of another class stands for one while a program is traced.
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or type(tensor) is not Tensor
    return tensor.device.type == "cpu" and not traced


def in_precision_of(weight: Tensor, x: Tensor) -> Tensor:
    """The weights of edges in the precision of features; in float32 at least under autocast."""
    dtype = x.dtype
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtype = torch.promote_types(dtype, torch.float32)
    return weight.to(dtype)


def check_single_graph(*others: Tensor | SparseTensor | None) -> None:
    """Raises an error if more is given than a matrix."""
    if any(other is not None for other in others):
        raise InputError(
            "edge_index, edge_weight, edge_type: the graph is given as one matrix, which holds all "
            "of them; leave them out"
        )


def _check_edge_index(edge_index: Tensor | None) -> Tensor:
    if edge_index is None:
        raise InputError("edge_index: missing; give the edges, or all of them as dense_adj")
    if not _is_integer(edge_index):
        raise InputError(
            f"edge_index: expected the indices of edges [2, E], got {edge_index.dtype}; give a "
            f"matrix as dense_adj"
        )
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise InputError(
            f"edge_index: expected the sources and targets of edges [2, E], got shape "
            f"{tuple(edge_index.shape)}"
        )
    return (edge_index.as_tensor() if isinstance(edge_index, EdgeIndex) else edge_index).long()


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _check_range(name: str, index: Tensor, size: int, limit: str) -> None:
    # A size put into a text too early is a constant for torch.compile.
    if index.numel() == 0 or not values_are_at_hand(index):
        return
    low, high = (int(value) for value in index.aminmax())
    if low < 0 or high >= size:
        value = low if low < 0 else high
        raise InputError(f"{name}: {value} is out of range; {limit.format(size=size)}")
