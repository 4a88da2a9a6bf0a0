"""Clips of a store as items of a dataset, or their persons as items of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyg_stgcn.datasets.store.clip_store import Clip

Numbers = NDArray[np.int64]


def by_person(clips: Numbers, num_persons: Numbers) -> tuple[Numbers, Numbers]:
    """The clip of every item and the number of its person, where each person is an item.

    Args:
        clips: Numbers of clips.
        num_persons: Persons of all clips of the store.

    Example:
        >>> by_person(np.array([3, 0]), np.array([2, 1, 1, 1]))
        (array([3, 0, 0]), array([0, 0, 1]))
    """
    counts = num_persons[clips]
    starts = counts.cumsum() - counts
    return np.repeat(clips, counts), np.arange(counts.sum()) - np.repeat(starts, counts)


def as_item(clip: Clip, person: int | None, class_numbers: Tensor | None) -> Clip:
    """A clip of a store as an item of a dataset.

    Args:
        clip: A clip of a store.
        person: Number of the only person to keep, if each is an item.
        class_numbers: New number of every class, if they have changed.
    """
    if person is not None:
        clip = one_person(clip, person)
    return clip if class_numbers is None else replace(clip, label=int(class_numbers[clip.label]))


def one_person(clip: Clip, person: int) -> Clip:
    """One person of a clip as a clip, from the first frame to the last that shows the person.

    Args:
        clip: A clip of a store.
        person: Number of the person.
    """
    assert clip.present is not None
    seen = np.flatnonzero(clip.present[person].any(axis=1))
    part = slice(person, person + 1), slice(seen[0], seen[-1] + 1)
    return replace(
        clip,
        name=item_name(clip.name, person),
        keypoint=clip.keypoint[part],
        present=clip.present[part],
    )


def item_name(clip: str, person: int) -> str:
    """The name of a person of a clip."""
    return f"{clip}#{person}"
