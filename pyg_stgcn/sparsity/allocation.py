"""Allocation of the pruned weights of a pool to its layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ALLOCATIONS = ("global", "uniform", "erk")
#: Least density of a layer, as a fraction of the density of all layers together.
MIN_DENSITY = 0.25


def erk_densities(
    shapes: Sequence[Sequence[int]], density: float, min_density: float = 0.0
) -> list[float]:
    r"""Densities of layers of different shapes (Erdős-Rényi kernel).

    .. math::
        \epsilon_l = \min\left(1, \max\left(
            \kappa \frac{\sum_i d_{li}}{\prod_i d_{li}}, \phi \epsilon\right)\right), \qquad
        \sum_l \epsilon_l n_l = \epsilon \sum_l n_l

    so that small layers, in which all information passes through few weights, are denser. From
    "Rigging the Lottery: Making All Tickets Winners" (Evci et al., 2020), where :math:`\phi = 0`.
    Vectors, such as edge weights, all get the same density.

    Args:
        shapes (sequence): Shape of every layer.
        density (float): Density :math:`\epsilon` of all layers together, in (0, 1].
        min_density (float): Least density of a layer, as a fraction :math:`\phi` of ``density``,
            in [0, 1].

    Returns:
        list of float: Density of every layer.

    Example:
        >>> erk_densities([(16, 48), (64, 64)], 0.1)
        [0.2111..., 0.0792...]
    """
    sizes = np.array([math.prod(shape) for shape in shapes])
    raw = np.array([sum(s) / math.prod(s) if len(s) > 1 else 1.0 for s in shapes])
    least = min_density * density
    # The sum is linear in kappa between the points where a layer reaches one of its two bounds.
    bends = np.unique([least / raw, 1 / raw])
    kept = np.clip(np.outer(bends, raw), least, 1) @ sizes
    kappa = np.interp(density * sizes.sum(), kept, bends)
    densities: list[float] = np.clip(kappa * raw, least, 1).tolist()
    return densities


def num_pruned_per_layer(
    allocation: str, shapes: Sequence[Sequence[int]], pruned: int, min_density: float = 0.0
) -> list[int]:
    """Divide a number of weights to prune among layers, exactly.

    Args:
        allocation (str): ``"uniform"``: the same density for every layer; or ``"erk"``, see
            :func:`erk_densities`. Each layer is within one weight of its density.
        shapes (sequence): Shape of every layer.
        pruned (int): Number of weights to prune in all layers together.
        min_density (float): As for :func:`erk_densities`.

    Returns:
        list of int: Number of weights to prune of every layer; their sum is ``pruned``.
    """
    sizes = [math.prod(shape) for shape in shapes]
    density = 1 - pruned / sum(sizes)
    densities = (
        [density] * len(sizes)
        if allocation == "uniform"
        else erk_densities(shapes, density, min_density)
    )
    exact = [(1 - part) * size for part, size in zip(densities, sizes, strict=True)]
    counts = [min(max(int(part), 0), size) for part, size in zip(exact, sizes, strict=True)]
    by_remainder = sorted(range(len(sizes)), key=lambda layer: counts[layer] - exact[layer])
    # Rounding down leaves a few over: one each for the layers with the largest remainders.
    for layer in by_remainder[: pruned - sum(counts)]:
        counts[layer] += 1
    return counts
