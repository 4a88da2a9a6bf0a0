"""Gaps between the sparsity asked for and the one that masks reach, with their reasons."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_stgcn.sparsity.mask import MaskedParameter

#: A smaller difference from the sparsity asked for is not reported: half a percentage point.
TOLERANCE = 0.005

_SMALLER = "choose smaller units or a lower sparsity, or compare at the sparsity reached"
#: Single weights are pruned to the exact number, so the reason is the structure of a pool's masks.
_REASONS = {
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
        "exclude layers with a remainder, or compare at the sparsity reached"
    ),
}
_REASON_EDGES = "every node keeps one edge into it; ask for the sparsity reached, or less"


def sparsity_of(masks: Sequence[Tensor]) -> float:
    """Fraction of false entries in all masks together; zero without masks."""
    if not masks:
        return 0.0
    kept = int(torch.stack([torch.count_nonzero(mask) for mask in masks]).sum())
    numel = sum(mask.numel() for mask in masks)
    return (numel - kept) / numel


def explain_miss(
    pool: Sequence[MaskedParameter], masks: Sequence[Tensor], asked: float
) -> str | None:
    """One line about a pool whose masks miss their sparsity; ``None`` if they reach it.

    Args:
        pool (sequence of MaskedParameter): All weights, or all edge weights.
        masks (sequence of torch.Tensor): Their final masks.
        asked (float): Sparsity that they should have.
    """
    reached, numel = sparsity_of(masks), sum(mask.numel() for mask in masks)
    # A pool of few weights cannot reach every sparsity: it is within one and a half weights of it.
    if not pool or abs(reached - asked) <= max(TOLERANCE, 1.5 / numel):
        return None
    edges = pool[0].is_edge
    structures = {entry.parametrization.structure for entry in pool}
    reason, pool_name = _REASON_EDGES, "edge sparsity"
    if not edges:
        reason = "; ".join(_REASONS[name] for name in _REASONS if name in structures)
        pool_name = "sparsity"
    return f"{pool_name} {asked:g} asked for, {reached:.4g} reached: {reason}"
