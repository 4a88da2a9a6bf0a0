"""Sparse weights in the form that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_stgcn.runtime.lanes import LANES
from pyg_stgcn.runtime.native import kernels

# Channels whose inputs, over the frames that one tile sees, stay in the cache of a core.
GROUP = 64
# Output channels of a block that share an input.
BLOCK = 8


@dataclass(frozen=True)
class Costs:
    """Times in that of one weight of the row kernel.

    Args:
        block: One weight of the block kernel.
        wide: One weight of the graph kernel, where its input channels are more than a group.
        store: A channel that is written and read back before the sum over the graph.
    """

    block: float
    wide: float
    store: float


# Timed layer by layer; those of AVX2 on a machine that has AVX-512 too.
_AVX512 = Costs(block=0.62, wide=1.6, store=30.0)
_AVX2 = Costs(block=0.9, wide=1.3, store=30.0)


def _kernel_costs() -> Costs:
    return _AVX512 if kernels() == "avx512" else _AVX2


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
    return _entries(weight, weight.float(), group, _faster_block(weight))


def compress_places(kept: Tensor, places: Tensor) -> Entries:
    """Like :func:`compress`, of weights of which only is known where they are.

    Args:
        kept (torch.Tensor): Whether a weight is kept, by output channel, frame and input channel.
        places (torch.Tensor): The number of every weight, which takes the place of the values.

    Shapes:
        - **kept, places:** :math:`(C', S, C)`
    """
    return _entries(kept, places, GROUP, _faster_block(kept))


def _faster_block(weight: Tensor) -> int:
    rows_cost, blocks_cost = _costs(weight)
    return BLOCK if blocks_cost < rows_cost else 1


def cost(weight: Tensor) -> float:
    """Time of the faster kernel, in that of one weight of the row kernel."""
    return min(_costs(weight))


def maps_first(weight: Tensor) -> bool:
    r"""Whether a map before a sum over a graph is faster as a layer of its own.

    The graph kernel takes the sum of what is still in registers, but reads all input channels for
    every output channel, and knows no blocks. So dense layers of many channels take longer there
    than in the kernels of a convolution, even though what these write has to be read back.

    Args:
        weight (torch.Tensor): The weights by output channel and partition, frame and input channel.

    Shapes:
        - **weight:** :math:`(C' K, 1, C)`
    """
    rows, _, channels = weight.shape
    costs = _kernel_costs()
    one_pass = float(weight.count_nonzero()) * (costs.wide if channels > GROUP else 1.0)
    return cost(weight) + costs.store * rows < one_pass


def _costs(weight: Tensor) -> tuple[float, float]:
    """Times of the two kernels, in that of one weight of the row kernel."""
    rows, frames, channels = weight.shape
    kept = float(weight.count_nonzero())
    if rows % BLOCK:
        return kept, float("inf")
    needed = (weight != 0).view(rows // BLOCK, BLOCK, frames, channels).any(1)
    return kept, _kernel_costs().block * BLOCK * float(needed.sum())


def _entries(kept: Tensor, values: Tensor, group: int, block: int) -> Entries:
    rows, frames, channels = kept.shape
    groups = max(-(-channels // group), 1)
    form = (rows // block, block, frames, channels)
    row, frame, channel = (kept.reshape(form) != 0).any(1).nonzero().unbind(1)
    place = (channel // group) * (rows // block) + row
    # A stable sort: within a row frame by frame, so that what comes next in memory is next.
    place, order = place.sort(stable=True)
    row, frame, channel = row[order], frame[order], channel[order]
    counts = place.bincount(minlength=groups * (rows // block))
    starts = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    return Entries(
        starts.to(torch.int32),
        ((frame * channels + channel) * LANES).to(torch.int32),
        values.reshape(form)[row, :, frame, channel].contiguous().flatten(),
        groups,
        block,
    )


def row_entries(weight: Tensor) -> Entries:
    """The single weights of all rows in one group, see :func:`compress`."""
    return _entries(weight, weight.float(), max(weight.size(2), 1), 1)


def row_places(kept: Tensor, places: Tensor, group: int = GROUP) -> Entries:
    """The single weights of all rows, see :func:`compress_places`."""
    return _entries(kept, places, group, 1)


def unit_entries(rows: int) -> Entries:
    """The entries of a map that leaves its channels as they are."""
    each = torch.arange(rows + 1, dtype=torch.int32)
    return Entries(each, each[:-1] * LANES, torch.ones(rows), 1, 1)
