"""Graphs over the joints in the two formats that the kernels read: entries and ELL."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_stgcn.runtime.lanes import LANES


@dataclass(frozen=True)
class GraphEntries:
    """The factors of each source joint for sixteen targets, where any of them is not zero.

    Args:
        starts: First entry of each partition and block of targets, int32.
        graph: Source joint and position of its factors of every entry, ``[entries, 2]``, int32.
        factors: The graph by partition, source and target, ``[1, K, 1, V * 16 B]``.
    """

    starts: Tensor
    graph: Tensor
    factors: Tensor


@dataclass(frozen=True)
class EllGraph:
    """A graph in ELL format: slot n holds the n-th source of every target, and its factor.

    Args:
        starts: First slot of each partition, int32; empty where the format does not pay.
        sources: The source joints, ``[slots, 16 B]``, int32.
        factors: Their factors, ``[slots, 16 B]``.
    """

    starts: Tensor
    sources: Tensor
    factors: Tensor


def graph_entries(graph: Tensor, blocks: int) -> GraphEntries:
    """The entries of a graph by partition, source and target, ``[K, V, V]``.

    Args:
        graph: The graph.
        blocks: Blocks of sixteen lanes for the targets.
    """
    partitions, joints, _ = graph.shape
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


def ell_graph(graph: Tensor, blocks: int) -> EllGraph:
    """A graph by partition, source and target, ``[K, V, V]``, in ELL format.

    A slot costs as much as two entries for each block of targets. The result is empty where that is
    more, or where there are more joints than the kernels can permute.
    """
    joints = graph.size(1)
    per_partition = (graph != 0).sum(1).amax(1)
    num_entries = graph_entries(graph, blocks).graph.size(0)
    if blocks > 2 or 2 * blocks * int(per_partition.sum()) > num_entries:
        none = torch.zeros(0, dtype=torch.int32)
        return EllGraph(none, none, torch.zeros(0))
    sources, factors = [], []
    for part, count in zip(graph.float(), per_partition.tolist(), strict=True):
        # Sources with a factor come first.
        order = (part == 0).byte().sort(dim=0, stable=True).indices[:count]
        sources.append(order)
        factors.append(part.gather(0, order))
    spare = (0, blocks * LANES - joints)
    return EllGraph(
        F.pad(per_partition.cumsum(0), (1, 0)).to(torch.int32),
        F.pad(torch.cat(sources), spare).to(torch.int32).contiguous(),
        F.pad(torch.cat(factors), spare).contiguous(),
    )
