"""What the graph convolutions ask of the graph they are given."""

from __future__ import annotations

from torch_geometric.typing import Adj, OptTensor

from pyg_stgcn.errors import InputError


def check_matrix(
    adj: Adj,
    num_nodes: int,
    num_partitions: int,
    edge_weight: OptTensor,
    edge_type: OptTensor,
) -> None:
    """Raises an error unless a matrix holds all partitions of a graph, and nothing else does."""
    if edge_weight is not None or edge_type is not None:
        raise InputError(
            "edge_weight, edge_type: the graph is given as one matrix, which holds both; leave "
            "them out"
        )
    size = (adj.size(0), adj.size(1))
    expected = (num_nodes * num_partitions, num_nodes)
    if size != expected:
        raise InputError(
            f"edge_index: a matrix of size {size}, but {num_nodes} nodes and "
            f"{num_partitions} partitions need {expected}"
        )


def check_types(edge_type: OptTensor, num_partitions: int) -> None:
    """Raises an error unless edges have types where there are several."""
    if edge_type is None and num_partitions > 1:
        raise InputError(
            f"edge_type: missing, but this layer has {num_partitions} partitions; give "
            f"the partition of every edge"
        )
