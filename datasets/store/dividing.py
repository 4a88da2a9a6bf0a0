"""Take clips of a dataset for validation, and find copies in two datasets."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.errors import InputError, warn_once

logger = logging.getLogger(__name__)


def divide_by_class(
    dataset: SkeletonDataset, fraction: float
) -> tuple[SkeletonDataset, SkeletonDataset]:
    """Divide clips at random into those for training and those for validation, class by class.

    The division depends on the names of the clips alone, not on their order or on a seed: every
    training on the same data has the same validation clips. Clips that are exact copies of each
    other stay together. Each class that has two clips or more that differ has at least one in both
    parts.

    Args:
        dataset: Clips with labels.
        fraction: Of the clips of every class to take for validation, in (0, 1).

    Raises:
        InputError: No class has two clips that differ.
    """
    _, first, group_of = np.unique(dataset.originals, return_index=True, return_inverse=True)
    sizes = np.bincount(group_of)
    labels = dataset.labels[first]
    ranks = np.array([_rank(name) for name in dataset.names], np.uint64)
    # Copies have several names; which of them comes first does not matter.
    rank_of = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(rank_of, group_of, ranks)
    taken: list[int] = []
    alone = []
    for label in np.unique(labels).tolist():
        groups = np.flatnonzero(labels == label)
        groups = groups[np.argsort(rank_of[groups], kind="stable")]
        chosen = _choose(groups, sizes, fraction)
        taken += chosen
        if not chosen:
            alone.append(dataset.classes[label])
    if not taken:
        raise InputError(
            f"{dataset.name}: no class has two clips that differ, one for training and one for "
            "validation; add clips"
        )
    if alone:
        warn_once(
            logger,
            f"{dataset.name}: {len(alone)} classes have no validation clip, as they have a single "
            f"clip or only copies of one: {', '.join(map(repr, alone[:5]))}"
            f"{', ...' if len(alone) > 5 else ''}",
        )
    held = np.isin(group_of, taken)
    return dataset.copy(np.flatnonzero(~held)), dataset.copy(np.flatnonzero(held))


def _rank(name: str) -> int:
    """A random number that is the same for the same name on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _choose(groups: NDArray[np.int64], sizes: NDArray[np.int64], fraction: float) -> list[int]:
    """The groups of copies of one class that are for validation; the last one never is."""
    target = max(1, int(fraction * sizes[groups].sum() + 0.5))
    chosen: list[int] = []
    taken = 0
    for group in groups[:-1].tolist():
        if taken + sizes[group] <= target:
            chosen.append(group)
            taken += sizes[group]
    if not chosen and len(groups) > 1:
        chosen.append(int(groups[np.argmin(sizes[groups])]))
    return chosen


def copies_across(dataset: SkeletonDataset, other: SkeletonDataset) -> NDArray[np.bool_]:
    """Clips of a dataset that are exact copies of clips of another one."""
    ours, theirs = dataset.checksums, other.checksums
    copied = np.isin(ours, theirs)
    places: dict[int, list[int]] = {}
    for place in np.flatnonzero(np.isin(theirs, ours)).tolist():
        places.setdefault(int(theirs[place]), []).append(place)
    for i in np.flatnonzero(copied).tolist():
        # Checksums of clips that differ can be equal.
        x = _coordinates(dataset, i)
        same = (_coordinates(other, place) for place in places[int(ours[i])])
        copied[i] = any(torch.equal(x, coordinates) for coordinates in same)
    return copied


def _coordinates(dataset: SkeletonDataset, i: int) -> torch.Tensor:
    return dataset.get(dataset.indices()[i]).x
