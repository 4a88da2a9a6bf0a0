"""Graphs over the joints in the forms that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_stgcn.runtime.lanes import LANES, num_blocks


@dataclass(frozen=True)
class GraphEntries:
    """For each source joint what it counts for sixteen targets, where that is not all zero.

    Args:
        starts: Where the entries of each partition and block of targets begin, int32.
        graph: Source joint, and place of its factors, of every entry, ``[entries, 2]``, int32.
        factors: The graph by partition, source and target, ``[1, K, 1, V * 16 B]``.
    """

    starts: Tensor
    graph: Tensor
    factors: Tensor


@dataclass(frozen=True)
class GraphTerms:
    """The n-th source of every target, and what it counts.

    Args:
        starts: Where the terms of each partition begin, int32; empty where there are none.
        sources: The source joints, ``[terms, 16 B]``, int32.
        factors: Their factors, ``[terms, 16 B]``.
    """

    starts: Tensor
    sources: Tensor
    factors: Tensor


def graph_entries(graph: Tensor) -> GraphEntries:
    """The entries of a graph by partition, source and target, ``[K, V, V]``."""
    partitions, joints, _ = graph.shape
    blocks = num_blocks(joints)
    lanes = F.pad(graph.float(), (0, blocks * LANES - joints))
    used = (lanes.view(partitions, joints, blocks, LANES) != 0).any(3).transpose(1, 2)
    partition, block, source = used.nonzero().unbind(1)
    counts = (partition * blocks + block).bincount(minlength=partitions * blocks)
    place = (source * blocks + block) * LANES
    return GraphEntries(
        F.pad(counts.cumsum(0), (1, 0)).to(torch.int32),
        torch.stack([source, place], 1).to(torch.int32),
        lanes.reshape(1, partitions, 1, -1).contiguous(),
    )


def graph_terms(graph: Tensor) -> GraphTerms:
    """The terms of a graph by partition, source and target, ``[K, V, V]``.

    A term costs as much as two entries for each block of targets. There are none where that is
    more, or where there are more joints than the kernels can pick from.
    """
    joints = graph.size(1)
    blocks = num_blocks(joints)
    per_partition = (graph != 0).sum(1).amax(1)
    num_entries = graph_entries(graph).graph.size(0)
    if blocks > 2 or 2 * blocks * int(per_partition.sum()) > num_entries:
        none = torch.zeros(0, dtype=torch.int32)
        return GraphTerms(none, none, torch.zeros(0))
    sources, factors = [], []
    for part, count in zip(graph.float(), per_partition.tolist(), strict=True):
        # The sources that count come first.
        order = (part == 0).byte().sort(dim=0, stable=True).indices[:count]
        sources.append(order)
        factors.append(part.gather(0, order))
    spare = (0, blocks * LANES - joints)
    return GraphTerms(
        F.pad(per_partition.cumsum(0), (1, 0)).to(torch.int32),
        F.pad(torch.cat(sources), spare).to(torch.int32).contiguous(),
        F.pad(torch.cat(factors), spare).contiguous(),
    )
