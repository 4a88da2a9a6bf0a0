"""Sparse weights in the form that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_stgcn.runtime.layout import LANES

# Channels whose inputs, over the frames that one tile sees, stay in the cache of a core.
GROUP = 64
# Output channels of a block that share an input.
BLOCK = 8
# Time of one weight in a block kernel, relative to one alone (timed with AVX-512).
BLOCK_COST = 0.62


@dataclass(frozen=True)
class Entries:
    """The weights that are not zero, row by row in every group of columns.

    Args:
        starts: Where the entries of each row begin, ``[groups * rows + 1]``, int32.
        offsets: Floats from the first input of an output frame, one per entry, int32.
        values: The weights: one per entry, or :data:`BLOCK` of them.
        groups: Number of groups of columns.
        block: Output channels of a row: 1 or :data:`BLOCK`.
    """

    starts: Tensor
    offsets: Tensor
    values: Tensor
    groups: int
    block: int


def compress(weight: Tensor, group: int = GROUP) -> Entries:
    r"""Chooses the faster of the two kernels for a weight, and brings it into its form.

    Single weights cost time by their number; blocks by the number of inputs that any of their
    eight output channels needs, each weight of a block less. So block patterns and layers of
    which little is pruned take the block kernel: a dense layer is all blocks.

    Args:
        weight (torch.Tensor): The weights by output channel, frame and input channel.
        group (int): Input channels that are worked on together.

    Shapes:
        - **weight:** :math:`(C', S, C)`
    """
    rows_cost, blocks_cost = _costs(weight)
    return _entries(weight, group, BLOCK if blocks_cost < rows_cost else 1)


def cost(weight: Tensor) -> float:
    """Time of the faster kernel, in that of one weight of the row kernel."""
    return min(_costs(weight))


def _costs(weight: Tensor) -> tuple[float, float]:
    """Times of the two kernels, in that of one weight of the row kernel."""
    rows, frames, channels = weight.shape
    kept = float(weight.count_nonzero())
    if rows % BLOCK:
        return kept, float("inf")
    needed = (weight != 0).view(rows // BLOCK, BLOCK, frames, channels).any(1)
    return kept, BLOCK_COST * BLOCK * float(needed.sum())


def _entries(weight: Tensor, group: int, block: int) -> Entries:
    rows, frames, channels = weight.shape
    groups = max(-(-channels // group), 1)
    blocks = weight.view(rows // block, block, frames, channels)
    row, frame, channel = (blocks != 0).any(1).nonzero().unbind(1)
    place = (channel // group) * (rows // block) + row
    # A stable sort: within a row frame by frame, so that what comes next in memory is next.
    place, order = place.sort(stable=True)
    row, frame, channel = row[order], frame[order], channel[order]
    counts = place.bincount(minlength=groups * (rows // block))
    starts = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    return Entries(
        starts.to(torch.int32),
        ((frame * channels + channel) * LANES).to(torch.int32),
        blocks[row, :, frame, channel].float().contiguous().flatten(),
        groups,
        block,
    )


def row_entries(weight: Tensor) -> Entries:
    """The single weights of all rows in one group, see :func:`compress`."""
    return _entries(weight, max(weight.size(2), 1), 1)
