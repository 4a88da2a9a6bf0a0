"""Structures: groups of weights of a layer that are kept or pruned together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

STRUCTURES = ("unstructured", "block8", "channel", "2:4")

#: Output channels of a block: a vector register holds eight floats.
BLOCK = 8
#: Inputs of a group of ``"2:4"``, which keeps half of them.
GROUP = 4


def unit_shape(structure: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of the units of a weight, each of which is kept or pruned as one.

    Vectors, such as edge weights, are always unstructured.
    """
    if len(shape) < 2 or structure in ("unstructured", "2:4"):
        return tuple(shape)
    if structure == "channel":
        return (shape[0],)
    return (math.ceil(shape[0] / BLOCK), *shape[1:])


def pool_units(structure: str, values: Tensor) -> Tensor:
    """Mean over the weights of each unit.

    Args:
        structure (str): One of :data:`STRUCTURES`. A unit is a single weight (``"unstructured"``,
            ``"2:4"``), eight consecutive outputs of one input (``"block8"``; the last block may be
            smaller), or all weights of one output (``"channel"``).
        values (torch.Tensor): One value for each weight.

    Returns:
        torch.Tensor: Of shape :func:`unit_shape`.
    """
    shape = unit_shape(structure, values.shape)
    if shape == tuple(values.shape):
        return values
    if structure == "channel":
        return values.flatten(1).mean(1)
    rows = values.flatten(1)
    padded = pad(rows, (0, 0, 0, -len(rows) % BLOCK)).view(shape[0], BLOCK, -1)
    sizes = torch.full((shape[0], 1), BLOCK, dtype=rows.dtype, device=rows.device)
    sizes[-1] -= -len(rows) % BLOCK
    return (padded.sum(1) / sizes).view(shape)


def expand_units(structure: str, units: Tensor, shape: Sequence[int]) -> Tensor:
    """Value of its unit for every weight: the inverse of :func:`pool_units`."""
    if units.shape == torch.Size(shape):
        return units
    if structure == "channel":
        return units.view(-1, *[1] * (len(shape) - 1)).expand(*shape)
    return units.repeat_interleave(BLOCK, dim=0)[: shape[0]]


def protected_by_structure(structure: str, importance: Tensor) -> Tensor | None:
    """Mask of the weights that the structure keeps at every threshold.

    For ``"2:4"`` these are the two most important of every four consecutive inputs of an output,
    and half of a remainder, rounded up. Other structures have none.
    """
    if structure != "2:4" or importance.dim() < 2:
        return None
    rows = importance.movedim(1, -1)
    padded = pad(rows, (0, -rows.size(-1) % GROUP), value=-math.inf).unflatten(-1, (-1, GROUP))
    rank = padded.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    sizes = torch.full((padded.size(-2), 1), GROUP, device=importance.device)
    sizes[-1] -= -rows.size(-1) % GROUP
    kept = (rank < (sizes + 1) // 2).flatten(-2)[..., : rows.size(-1)]
    return kept.movedim(-1, 1)


def draw_units(structure: str, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Random mask with the same number of kept units as another.

    Args:
        structure (str): One of :data:`STRUCTURES`, that of the mask. A unit counts as kept if any
            of its weights is.
        mask (torch.Tensor): Boolean, true where a weight is kept.
        generator (torch.Generator): Source of random numbers, on the CPU.
    """
    if structure == "2:4" and mask.dim() >= 2:
        random = torch.rand(mask.shape, generator=generator)
        protected = protected_by_structure(structure, random)
        assert protected is not None
        order = torch.where(protected, math.inf, random).flatten().argsort()
        drawn = torch.ones(mask.numel(), dtype=torch.bool)
        drawn[order[: mask.numel() - int(mask.sum())]] = False
        return drawn.view_as(mask)
    units = pool_units(structure, mask.float()) > 0
    # The smaller last block is drawn apart, so that the number of weights stays the same.
    whole = len(mask) // BLOCK if len(units) < len(mask) else len(units)
    parts = [_shuffled(part, generator) for part in (units[:whole], units[whole:])]
    return expand_units(structure, torch.cat(parts), mask.shape)


def _shuffled(units: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(units.numel(), generator=generator)
    drawn = torch.ones(units.numel(), dtype=torch.bool)
    drawn[order[: units.numel() - int(units.sum())]] = False
    return drawn.view_as(units)
