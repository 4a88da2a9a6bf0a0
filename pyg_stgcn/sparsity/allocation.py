"""How many weights each layer of a pool loses."""

from __future__ import annotations

import math
from collections.abc import Sequence

ALLOCATIONS = ("global", "uniform", "erk")


def erk_densities(shapes: Sequence[Sequence[int]], density: float) -> list[float]:
    r"""Shares to keep of layers of different shapes (Erdős-Rényi kernel).

    .. math::
        \epsilon_l = \min\left(1, \kappa \frac{\sum_i d_{li}}{\prod_i d_{li}}\right), \qquad
        \sum_l \epsilon_l n_l = \epsilon \sum_l n_l

    so that small layers, of which all information has to pass through few weights, keep a larger
    share. From "Rigging the Lottery: Making All Tickets Winners" (Evci et al., 2020). Vectors, such
    as edge weights, all keep the same share.

    Args:
        shapes (sequence): Shape of every layer.
        density (float): Share to keep of all, in (0, 1].
    """
    sizes = [math.prod(shape) for shape in shapes]
    raw = [sum(s) / n if len(s) > 1 else 1.0 for s, n in zip(shapes, sizes, strict=True)]
    whole: set[int] = set()
    while len(whole) < len(sizes):
        rest = [layer for layer in range(len(sizes)) if layer not in whole]
        budget = density * sum(sizes) - sum(sizes[layer] for layer in whole)
        kappa = budget / sum(raw[layer] * sizes[layer] for layer in rest)
        full = {layer for layer in rest if kappa * raw[layer] > 1}
        if not full:
            return [1.0 if layer in whole else kappa * raw[layer] for layer in range(len(sizes))]
        whole |= full
    return [1.0] * len(sizes)


def num_pruned_per_layer(
    allocation: str, shapes: Sequence[Sequence[int]], pruned: int
) -> list[int]:
    """Share ``pruned`` weights out among layers, each within one weight of its share.

    Args:
        allocation (str): ``"uniform"``, the same share of every layer, or ``"erk"``.
        shapes (sequence): Shape of every layer.
        pruned (int): How many weights to prune of all.
    """
    sizes = [math.prod(shape) for shape in shapes]
    density = 1 - pruned / sum(sizes)
    densities = (
        [density] * len(sizes) if allocation == "uniform" else erk_densities(shapes, density)
    )
    exact = [(1 - share) * size for share, size in zip(densities, sizes, strict=True)]
    counts = [min(max(int(part), 0), size) for part, size in zip(exact, sizes, strict=True)]
    by_remainder = sorted(range(len(sizes)), key=lambda layer: counts[layer] - exact[layer])
    # What rounding down has left over, one weight each, where most was cut off.
    for layer in by_remainder[: pruned - sum(counts)]:
        counts[layer] += 1
    return counts
