"""Sparse weights in the format that the kernels read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_stgcn.runtime.lanes import LANES
from pyg_stgcn.runtime.native import kernels

# The inputs of this many channels, over the frames of one tile, stay in the cache of a core.
GROUP = 64
# Output channels of a block that share an input.
BLOCK = 8


@dataclass(frozen=True)
class Costs:
    """Times relative to one weight of the row kernel.

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
class SparseRows:
    """The weights that are not zero, row by row in every group of columns.

    Args:
        starts: First entry of each row, ``[groups * rows + 1]``, int32.
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


def zeros_fraction(weights: Iterable[Tensor]) -> float:
    """Fraction of zeros in all weights of two or more dimensions."""
    weights = [weight for weight in weights if weight.dim() > 1]
    numel = sum(weight.numel() for weight in weights)
    kept = sum(int(weight.count_nonzero()) for weight in weights)
    return 1 - kept / max(numel, 1)


def compress(weight: Tensor, group: int = GROUP) -> SparseRows:
    r"""Chooses the faster of the two kernels for a weight, and brings it into its format.

    The time of the row kernel grows with the number of weights; that of the block kernel with the
    number of inputs that any of the eight output channels of a block needs, at less time a weight.
    So block structures and nearly dense layers use the block kernel.

    Args:
        weight (torch.Tensor): The weights by output channel, frame and input channel.
        group (int): Input channels that are worked on together.

    Shapes:
        - **weight:** :math:`(C', S, C)`
    """
    return _sparse_rows(weight, weight.float(), group, _faster_block(weight))


def compress_places(kept: Tensor, places: Tensor) -> SparseRows:
    """Like :func:`compress`, with positions instead of values.

    Args:
        kept (torch.Tensor): Whether a weight is kept, by output channel, frame and input channel.
        places (torch.Tensor): The position of every weight in its parameter.

    Shapes:
        - **kept, places:** :math:`(C', S, C)`
    """
    return _sparse_rows(kept, places, GROUP, _faster_block(kept))


def _faster_block(weight: Tensor) -> int:
    rows_cost, blocks_cost = _costs(weight)
    return BLOCK if blocks_cost < rows_cost else 1


def cost(weight: Tensor) -> float:
    """Time of the faster kernel, relative to one weight of the row kernel."""
    return min(_costs(weight))


def maps_first(weight: Tensor) -> bool:
    r"""Tells if a linear map before a sum over a graph is faster as a layer of its own.

    The graph kernel sums while the mapped features are in registers, but reads all input channels
    for every output channel, and has no blocks. So dense layers of many channels take longer there
    than in the convolution kernels, even though their output has to be read back.

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
    """Times of the two kernels, relative to one weight of the row kernel."""
    rows, frames, channels = weight.shape
    kept = float(weight.count_nonzero())
    if rows % BLOCK:
        return kept, float("inf")
    needed = (weight != 0).view(rows // BLOCK, BLOCK, frames, channels).any(1)
    return kept, _kernel_costs().block * BLOCK * float(needed.sum())


def _sparse_rows(kept: Tensor, values: Tensor, group: int, block: int) -> SparseRows:
    rows, frames, channels = kept.shape
    groups = max(-(-channels // group), 1)
    shape = (rows // block, block, frames, channels)
    row, frame, channel = (kept.reshape(shape) != 0).any(1).nonzero().unbind(1)
    place = (channel // group) * (rows // block) + row
    # A stable sort: the entries of a row stay in the order of memory, frame by frame.
    place, order = place.sort(stable=True)
    row, frame, channel = row[order], frame[order], channel[order]
    counts = place.bincount(minlength=groups * (rows // block))
    starts = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    return SparseRows(
        starts.to(torch.int32),
        ((frame * channels + channel) * LANES).to(torch.int32),
        values.reshape(shape)[row, :, frame, channel].contiguous().flatten(),
        groups,
        block,
    )


def single_weights(weight: Tensor) -> SparseRows:
    """All rows in one group for the row kernel, see :func:`compress`."""
    return _sparse_rows(weight, weight.float(), max(weight.size(2), 1), 1)


def row_places(kept: Tensor, places: Tensor, group: int = GROUP) -> SparseRows:
    """All rows for the row kernel, see :func:`compress_places`."""
    return _sparse_rows(kept, places, group, 1)


def identity_weights(rows: int) -> SparseRows:
    """The rows of the identity map."""
    each = torch.arange(rows + 1, dtype=torch.int32)
    return SparseRows(each, each[:-1] * LANES, torch.ones(rows), 1, 1)
