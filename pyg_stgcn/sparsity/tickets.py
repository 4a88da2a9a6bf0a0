"""Lottery tickets: masks found in a trained network, with weights from before that training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.allocation import ALLOCATIONS, num_pruned_per_layer
from pyg_stgcn.sparsity.container import checksum, load_sparse, save_sparse
from pyg_stgcn.sparsity.controller import SparsityController
from pyg_stgcn.sparsity.mask import add_mask, masked_parameters
from pyg_stgcn.sparsity.methods import MagnitudeMask
from pyg_stgcn.sparsity.rankable import check_values
from pyg_stgcn.sparsity.schedule import check_sparsity
from pyg_stgcn.sparsity.select import Pattern, check_mask, check_masks, select_parameters
from pyg_stgcn.sparsity.structures import STRUCTURES, draw_units
from pyg_stgcn.sparsity.threshold import keep_highest, lift_best, num_pruned

_MASKS, _WEIGHTS = "masks/", "weights/"
#: Key of pruned weights, below all magnitudes.
_PRUNED = -1.0


@dataclass(frozen=True, eq=False)
class Ticket:
    """A sparse network to be trained: its masks, and the values that its weights start from.

    Args:
        masks (dict): Boolean tensors by the names of the parameters in the dense module, true where
            a weight is kept.
        weights (dict): State dict of the dense module, from its initialisation or from early in its
            training, with its buffers. Pruned weights may have any value.
        metadata (dict): Anything that JSON can hold, such as the origin of the ticket.
    """

    masks: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sparsity(self) -> float:
        """Fraction of zeros in the masks."""
        numel = sum(mask.numel() for mask in self.masks.values())
        return sum(map(_num_zeros, self.masks.values())) / numel

    @property
    def checksum(self) -> int:
        """CRC-32 of masks, kept weights and metadata: the same for every copy of the file."""
        return checksum(_entries(self), json.dumps(dict(self.metadata), sort_keys=True))


def save_ticket(path: str | os.PathLike[str], ticket: Ticket) -> None:
    """Write a ticket, as a sparse file (:func:`save_sparse`).

    Its entries are ``masks/NAME`` and ``weights/NAME``; pruned weights are written as zeros.

    Args:
        path (str or os.PathLike): File to write; replaced only once the new one is complete.
        ticket (Ticket): Masks, weights and metadata.

    Raises:
        InputError: If a mask is not that of a weight, or the file cannot be written.
    """
    for name, mask in ticket.masks.items():
        check_mask(name, mask, ticket.weights.get(name))
    save_sparse(path, _entries(ticket), ticket.metadata, kind="ticket")


def _entries(ticket: Ticket) -> dict[str, Tensor]:
    entries = {_MASKS + name: mask for name, mask in ticket.masks.items()}
    for name, weight in ticket.weights.items():
        kept = ticket.masks.get(name)
        entries[_WEIGHTS + name] = weight if kept is None else torch.where(kept, weight, 0)
    return entries


def load_ticket(path: str | os.PathLike[str]) -> Ticket:
    """Read a file of :func:`save_ticket`.

    Raises:
        InputError: If the file is missing, damaged, of another kind or of another version.
    """
    entries, metadata = load_sparse(path, kind="ticket")
    masks, weights = (
        {name.removeprefix(kind): value for name, value in entries.items() if name.startswith(kind)}
        for kind in (_MASKS, _WEIGHTS)
    )
    try:
        for name, mask in masks.items():
            check_mask(name, mask, weights.get(name))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Ticket(masks, weights, metadata)


def full_masks(
    module: nn.Module, include: Pattern | None = None, exclude: Pattern = ()
) -> dict[str, Tensor]:
    """Masks of a dense module that keep every weight: the start of iterative pruning.

    Args:
        module (torch.nn.Module): Any module without masks.
        include (str, sequence of str or callable, optional): As for :func:`sparsify`.
        exclude (str, sequence of str or callable): As for :func:`sparsify`.

    Raises:
        InputError: If no parameter is chosen.
    """
    chosen = select_parameters(module, include, exclude, edges=False)
    return {entry.name: torch.ones(entry.parameter.shape, dtype=torch.bool) for entry in chosen}


def kept_after(rounds: int, rate: float) -> float:
    r"""Density after :math:`r` rounds at a rate :math:`p`: :math:`(1 - p)^r`."""
    return (1 - rate) ** rounds


def rate_for(rounds: int, sparsity: float) -> float:
    r"""Pruning rate for a sparsity after some rounds: :math:`p = 1 - (1 - \varsigma)^{1 / R}`.

    Args:
        rounds (int): Number of rounds :math:`R`.
        sparsity (float): Sparsity :math:`\varsigma` after the last round, in [0, 1).

    Example:
        >>> round(rate_for(10, 0.95), 3)
        0.259
    """
    return float(1 - (1 - sparsity) ** (1 / rounds))


def prune_further(
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    sparsity: float,
    *,
    allocation: str = "global",
    min_density: float = 0.0,
    score_scale: str = "none",
) -> dict[str, Tensor]:
    r"""Masks of the next round: the kept weights of smallest magnitude are pruned.

    One step of the iterative magnitude pruning of "The Lottery Ticket Hypothesis: Finding Sparse,
    Trainable Neural Networks" (Frankle and Carbin, 2019). Of :math:`n` weights exactly
    :math:`\mathrm{round}(\varsigma (n - 1))` are pruned afterwards, including those pruned before;
    of equal weights the first ones.

    Args:
        weights (dict): Trained weights, by name.
        masks (dict): The current masks of some of them.
        sparsity (float): Sparsity :math:`\varsigma` afterwards, in [0, 1).
        allocation (str): ``"global"``: one threshold for all layers; ``"uniform"`` or ``"erk"``:
            the numbers that :func:`sparsify` would prune of each layer.
        min_density (float): Least density of a layer, as for :class:`SparsityController`.
        score_scale (str): Scale of the magnitudes of different layers, as for :class:`Mask`.

    Returns:
        dict: New masks of the same names. Pruned weights stay pruned.

    Raises:
        InputError: If the current masks prune more than ``sparsity``, an argument is out of range,
            or a weight is not finite.
    """
    check_sparsity(sparsity)
    if allocation not in ALLOCATIONS:
        raise InputError(
            f"allocation {allocation!r} is unknown; choose one of {', '.join(ALLOCATIONS)}"
        )
    sizes = [mask.numel() for mask in masks.values()]
    before = [_num_zeros(mask) for mask in masks.values()]
    pruned = num_pruned(sparsity, sum(sizes))
    if pruned < sum(before):
        raise InputError(
            f"sparsity {sparsity!r} asks for {pruned} pruned weights, but {sum(before)} are pruned "
            "already; choose a higher one"
        )
    check_values({name: weights[name] for name in masks})
    keys = torch.cat(
        [_keys(weights[name], mask, score_scale).flatten() for name, mask in masks.items()]
    )
    if allocation == "global":
        lift_best(keys.split(sizes), min_density * (1 - pruned / len(keys)))
        # A layer may keep fewer weights than its min_density asks for.
        keys[~torch.cat([mask.flatten() for mask in masks.values()])] = _PRUNED
        parts = keep_highest(keys, pruned).split(sizes)
    else:
        shapes = [mask.shape for mask in masks.values()]
        counts = _at_least(num_pruned_per_layer(allocation, shapes, pruned, min_density), before)
        layers = zip(keys.split(sizes), counts, strict=True)
        parts = tuple(keep_highest(layer, count) for layer, count in layers)
    return {name: part.view_as(masks[name]) for name, part in zip(masks, parts, strict=True)}


def _keys(weight: Tensor, mask: Tensor, score_scale: str) -> Tensor:
    """Scaled magnitudes in single precision; pruned weights are below all others."""
    scale = MagnitudeMask(weight, score_scale).rank_scale
    return torch.where(mask, weight.float().abs() * scale, _PRUNED)


def _at_least(counts: list[int], before: list[int]) -> list[int]:
    """Raise counts that rounding has put below the previous ones, and lower others as much."""
    raised = [max(pair) for pair in zip(counts, before, strict=True)]
    for _ in range(sum(raised) - sum(counts)):
        most = max(range(len(raised)), key=lambda layer: raised[layer] - before[layer])
        raised[most] -= 1
    return raised


def random_masks(
    masks: Mapping[str, Tensor], generator: torch.Generator, structure: str = "unstructured"
) -> dict[str, Tensor]:
    """Random masks that keep as many weights of every layer as others.

    Args:
        masks (dict): The other masks, by name.
        generator (torch.Generator): Source of random numbers, on the CPU.
        structure (str): One of :data:`STRUCTURES`, that of the masks: whole units are drawn.

    Raises:
        InputError: If the structure is unknown.
    """
    if structure not in STRUCTURES:
        raise InputError(
            f"structure {structure!r} is unknown; choose one of {', '.join(STRUCTURES)}"
        )
    return {name: draw_units(structure, mask, generator) for name, mask in masks.items()}


def put_masks(module: nn.Module, masks: Mapping[str, Tensor]) -> SparsityController:
    """Put masks that never change on a module, in place.

    Args:
        module (torch.nn.Module): A module without masks, its weights loaded.
        masks (dict): Boolean tensors by parameter name, true where a weight is kept.

    Returns:
        SparsityController: Keeps the masks as they are; its
        :meth:`~SparsityController.finalize` folds them into the weights.

    Raises:
        InputError: If a name or a shape is not that of a parameter, or the module has masks
            already.
    """
    if masked_parameters(module):
        raise InputError(f"{type(module).__name__} has masks already; finalize() them first")
    check_masks(module, masks)
    for entry in select_parameters(module, lambda name, _: name in masks, (), edges=True):
        fixed = MagnitudeMask(entry.parameter)
        fixed.mask.copy_(masks[entry.name])
        add_mask(entry.owner, entry.attribute, fixed)
    return SparsityController(module)


def _num_zeros(mask: Tensor) -> int:
    return mask.numel() - int(torch.count_nonzero(mask))
