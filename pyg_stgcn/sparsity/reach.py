"""Where masks end at another sparsity than was asked for, and why."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_stgcn.sparsity.mask import MaskedParameter

#: Difference between the sparsity asked for and the one reached that is worth a word: half a point.
TOLERANCE = 0.005

_SMALLER = "choose smaller units or a lower sparsity, or compare by what is reached"
#: Single weights are pruned to the exact number, so the reason is the structure of a pool's masks.
_WHY = {
    "block8": (
        "structure block8 prunes blocks of eight outputs, to the nearest of each layer, which "
        f"keeps one at least; {_SMALLER}"
    ),
    "channel": (
        "structure channel prunes whole outputs, to the nearest of each layer, which keeps one at "
        f"least; {_SMALLER}"
    ),
    "2:4": (
        "structure 2:4 keeps two of every four inputs, and of a remainder half, rounded up; "
        "exclude layers with a remainder, or compare by what is reached"
    ),
}
_WHY_EDGES = "every node keeps one edge into it; ask for what is reached, or less"


def share_of_zeros(masks: Sequence[Tensor]) -> float:
    """Share of false entries over all masks; zero if there are none."""
    if not masks:
        return 0.0
    kept = int(torch.stack([torch.count_nonzero(mask) for mask in masks]).sum())
    numel = sum(mask.numel() for mask in masks)
    return (numel - kept) / numel


def explain_miss(
    pool: Sequence[MaskedParameter], masks: Sequence[Tensor], asked: float
) -> str | None:
    """One line on a pool whose masks miss their sparsity, or ``None`` where they meet it.

    Args:
        pool (sequence of MaskedParameter): All weights, or all edge weights.
        masks (sequence of torch.Tensor): Their final masks.
        asked (float): Share of zeros that these should have.
    """
    reached, numel = share_of_zeros(masks), sum(mask.numel() for mask in masks)
    # Of few weights no number meets every share: it is within one and a half of it.
    if not pool or abs(reached - asked) <= max(TOLERANCE, 1.5 / numel):
        return None
    edges = pool[0].is_edge
    structures = {entry.parametrization.structure for entry in pool}
    why = _WHY_EDGES if edges else "; ".join(_WHY[name] for name in _WHY if name in structures)
    return f"{'edge ' if edges else ''}sparsity {asked:g} asked for, {reached:.4g} reached: {why}"
