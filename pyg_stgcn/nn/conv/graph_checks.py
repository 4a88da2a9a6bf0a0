"""Checks of the graphs that the graph convolutions take."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.typing import Adj, OptTensor, SparseTensor

from pyg_stgcn.errors import InputError


def check_matrix(
    adj: Adj,
    num_nodes: int,
    num_partitions: int,
    *others: Tensor | SparseTensor | None,
) -> None:
    """Raises an error unless a matrix holds all partitions of a graph and is the only graph."""
    if any(other is not None for other in others):
        raise InputError(
            "edge_index, edge_weight, edge_type: the graph is given as one matrix, which holds all "
            "of them; leave them out"
        )
    size = (adj.size(0), adj.size(1))
    expected = (num_nodes * num_partitions, num_nodes)
    if size != expected:
        raise InputError(
            f"graph: a matrix of size {size}, but {num_nodes} nodes and "
            f"{num_partitions} partitions need {expected}"
        )


def check_edges(edge_index: Tensor | None, edge_type: OptTensor, num_partitions: int) -> Tensor:
    """Raises an error unless there are edges, with types if there are several partitions."""
    if edge_index is None:
        raise InputError("edge_index: missing; give the edges, or all of them as dense_adj")
    if edge_index.is_floating_point():
        raise InputError(
            f"edge_index: expected the indices of edges [2, E], got {edge_index.dtype}; give a "
            f"matrix as dense_adj"
        )
    if edge_type is None and num_partitions > 1:
        raise InputError(
            f"edge_type: missing, but this layer has {num_partitions} partitions; give "
            f"the partition of every edge"
        )
    return edge_index
