"""Partitions: the ways to turn the bones of a skeleton into a weighted graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import check_partition, hops_of
from pyg_stgcn.skeletons.trunk import hop_distance

# A weight of zero means that there is no edge. This one is lost in any sum, in single precision
# too, and a power of two, so that no conversion changes it.
FAINT_WEIGHT = 2.0**-100

#: What a graph of many learnable partitions may have at most: it takes a GB in each stage.
MAX_EDGES = 2**24


@dataclass(frozen=True, eq=False)
class SkeletonGraph:
    r"""A partitioned skeleton graph :math:`A \in \mathbb{R}^{K \times V \times V}` as an edge list.

    Args:
        edge_index: Edges; row 0 the source joint :math:`v`, row 1 the target joint :math:`w`.
        edge_type: The partition :math:`k` of every edge.
        edge_weight: The weight :math:`A_{kvw}` of the message from :math:`v` to :math:`w`.
        num_joints: The number of joints :math:`V`.
        num_partitions: The number of partitions :math:`K`.

    Shapes:
        - **edge_index:** :math:`(2, E)`, **edge_type:** :math:`(E)`, **edge_weight:** :math:`(E)`
    """

    edge_index: Tensor
    edge_type: Tensor
    edge_weight: Tensor
    num_joints: int
    num_partitions: int

    def dense(self) -> Tensor:
        """The dense tensor ``A`` of shape :math:`(K, V, V)`, ``A[k, v, w]`` from v to w."""
        shape = (self.num_partitions, self.num_joints, self.num_joints)
        adjacency = self.edge_weight.new_zeros(shape)
        adjacency[self.edge_type, self.edge_index[0], self.edge_index[1]] = self.edge_weight
        return adjacency

    def complete(self) -> SkeletonGraph:
        """The same graph with edges between all pairs of joints, in all partitions.

        The added edges weigh next to nothing (:math:`2^{-100}`): they are there to be learnt, or
        for a convolution to put on them what it learns from the data.
        """
        edge_type, source, target = torch.ones_like(self.dense()).nonzero(as_tuple=True)
        weight = self.dense().flatten()
        return SkeletonGraph(
            edge_index=torch.stack([source, target]),
            edge_type=edge_type,
            edge_weight=torch.where(weight == 0, FAINT_WEIGHT, weight),
            num_joints=self.num_joints,
            num_partitions=self.num_partitions,
        )


def partition_graph(
    partition: str, num_joints: int, bones: Sequence[tuple[int, int]], center: int
) -> SkeletonGraph:
    """Splits bones into one of the fixed partitions, see :meth:`pyg_stgcn.Skeleton.graph`.

    Raises:
        InputError: If there is no such partition.
    """
    distance = torch.from_numpy(hop_distance(num_joints, bones))
    hops = hops_of(partition)
    check_partition(partition)
    if hops is not None:
        adjacency = _by_distance(distance, hops)
    elif partition == "stgcn_spatial":
        adjacency = _stgcn_spatial(distance, center)
    elif partition == "spatial":
        adjacency = _spatial(num_joints, bones)
    elif partition == "uniform":
        adjacency = _normalize((distance <= 1).float()).unsqueeze(0)
    else:
        assert partition == "binary_adj"
        adjacency = (distance == 1).float().unsqueeze(0)
    edge_type, source, target = adjacency.nonzero(as_tuple=True)
    return SkeletonGraph(
        edge_index=torch.stack([source, target]),
        edge_type=edge_type,
        edge_weight=adjacency[edge_type, source, target],
        num_joints=num_joints,
        num_partitions=adjacency.size(0),
    )


def random_graph(
    num_joints: int, num_partitions: int, generator: torch.Generator | None = None
) -> SkeletonGraph:
    """Joins all pairs of joints with random weights, see :meth:`pyg_stgcn.Skeleton.graph`.

    Raises:
        InputError: If :obj:`num_partitions` is below one, or so large that a graph of this many
            joints has more than :data:`MAX_EDGES` edges.
    """
    if num_partitions < 1:
        raise InputError(f"num_partitions: {num_partitions} is too few; give at least 1")
    if num_partitions * num_joints**2 > MAX_EDGES:
        raise InputError(
            f"num_partitions: {num_partitions} of {num_joints} joints have more than {MAX_EDGES} "
            f"edges; give at most {MAX_EDGES // num_joints**2}"
        )
    shape = (num_partitions, num_joints, num_joints)
    weight = 0.04 + 0.02 * torch.randn(shape, generator=generator)
    edge_type, source, target = torch.ones(shape).nonzero(as_tuple=True)
    return SkeletonGraph(
        edge_index=torch.stack([source, target]),
        edge_type=edge_type,
        edge_weight=weight.flatten(),
        num_joints=num_joints,
        num_partitions=num_partitions,
    )


def _normalize(adjacency: Tensor) -> Tensor:
    """Divides every column by its sum, so that the messages arriving at a joint sum to one."""
    return adjacency / adjacency.sum(dim=0, keepdim=True).clamp(min=1)


def _stgcn_spatial(distance: Tensor, center: int) -> Tensor:
    adjacency = _normalize((distance <= 1).float())
    # Beyond one bone from the centre all joints count as equally far: published weights were
    # trained on this graph.
    to_center = torch.where(distance[:, center] <= 1, distance[:, center], float("inf"))
    away = to_center.unsqueeze(1) < to_center.unsqueeze(0)
    neighbors = adjacency * (distance == 1)
    return torch.stack([adjacency * (distance == 0), neighbors * ~away, neighbors * away])


def _spatial(num_joints: int, bones: Sequence[tuple[int, int]]) -> Tensor:
    to_children = torch.zeros(num_joints, num_joints)
    for child, parent in bones:
        to_children[parent, child] = 1
    return torch.stack(
        [torch.eye(num_joints), _normalize(to_children), _normalize(to_children.t())]
    )


def _by_distance(distance: Tensor, max_hop: int) -> Tensor:
    farthest = int(distance.max())
    if max_hop > farthest:
        raise InputError(
            f"partition 'distance-{max_hop}': no joints are more than {farthest} bones apart; "
            f"use at most 'distance-{farthest}'"
        )
    # Each distance has a matrix of all pairs of joints.
    most = MAX_EDGES // len(distance) ** 2 - 1
    if max_hop > most:
        raise InputError(
            f"partition 'distance-{max_hop}': {max_hop + 1} distances of {len(distance)} joints "
            f"are too many; use at most 'distance-{most}'"
        )
    adjacency = _normalize((distance <= max_hop).float())
    return torch.stack([adjacency * (distance == hop) for hop in range(max_hop + 1)])
