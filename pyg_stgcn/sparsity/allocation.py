"""How many weights each layer of a pool loses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ALLOCATIONS = ("global", "uniform", "erk")
#: What every layer keeps at least, as a share of what it would keep if all kept alike.
MIN_DENSITY = 0.25


def erk_densities(
    shapes: Sequence[Sequence[int]], density: float, min_density: float = 0.0
) -> list[float]:
    r"""Shares to keep of layers of different shapes (Erdős-Rényi kernel).

    .. math::
        \epsilon_l = \min\left(1, \max\left(
            \kappa \frac{\sum_i d_{li}}{\prod_i d_{li}}, \phi \epsilon\right)\right), \qquad
        \sum_l \epsilon_l n_l = \epsilon \sum_l n_l

    so that small layers, of which all information has to pass through few weights, keep a larger
    share. From "Rigging the Lottery: Making All Tickets Winners" (Evci et al., 2020), where
    :math:`\phi = 0`. Vectors, such as edge weights, all keep the same share.

    Args:
        shapes (sequence): Shape of every layer.
        density (float): Share :math:`\epsilon` to keep of all, in (0, 1].
        min_density (float): Least share :math:`\phi` of it that a layer keeps, in [0, 1].
    """
    sizes = np.array([math.prod(shape) for shape in shapes])
    raw = np.array([sum(s) / math.prod(s) if len(s) > 1 else 1.0 for s in shapes])
    least = min_density * density
    # The sum is linear in kappa between the points where a layer meets one of its two bounds.
    bends = np.unique([least / raw, 1 / raw])
    kept = np.clip(np.outer(bends, raw), least, 1) @ sizes
    kappa = np.interp(density * sizes.sum(), kept, bends)
    densities: list[float] = np.clip(kappa * raw, least, 1).tolist()
    return densities


def num_pruned_per_layer(
    allocation: str, shapes: Sequence[Sequence[int]], pruned: int, min_density: float = 0.0
) -> list[int]:
    """Share ``pruned`` weights out among layers, each within one weight of its share.

    Args:
        allocation (str): ``"uniform"``, the same share of every layer, or ``"erk"``.
        shapes (sequence): Shape of every layer.
        pruned (int): How many weights to prune of all.
        min_density (float): As for :func:`erk_densities`.
    """
    sizes = [math.prod(shape) for shape in shapes]
    density = 1 - pruned / sum(sizes)
    densities = (
        [density] * len(sizes)
        if allocation == "uniform"
        else erk_densities(shapes, density, min_density)
    )
    exact = [(1 - share) * size for share, size in zip(densities, sizes, strict=True)]
    counts = [min(max(int(part), 0), size) for part, size in zip(exact, sizes, strict=True)]
    by_remainder = sorted(range(len(sizes)), key=lambda layer: counts[layer] - exact[layer])
    # What rounding down has left over, one weight each, where most was cut off.
    for layer in by_remainder[: pruned - sum(counts)]:
        counts[layer] += 1
    return counts
