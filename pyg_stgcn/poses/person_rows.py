"""The persons of many frames in few arrays, and clips of those who are seen most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.poses.recording import Frame
from pyg_stgcn.poses.tracking import tracks_of

#: Frames whose persons are moved into common arrays; one array a frame would take more memory than
#: its numbers.
_BLOCK = 1024


class PersonRows(NamedTuple):
    """Persons of several frames, one a row.

    Args:
        frames: Number of the frame ``[R]``.
        tracks: Number of the person ``[R]``.
        joints: Coordinates ``[R, V, C]``.
        scores: Confidence ``[R, V]``.
    """

    frames: NDArray[np.int64]
    tracks: NDArray[np.int64]
    joints: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def seen(self) -> NDArray[np.float64]:
        """How much of the persons is seen: the sums of the scores ``[R]``."""
        return self.scores.sum(axis=1, dtype=np.float64)


def rows_of(frames: Sequence[Frame]) -> PersonRows:
    """The persons of tracked frames; at least one frame."""
    numbers = np.array([frame.number for frame in frames], dtype=np.int64)
    return PersonRows(
        np.repeat(numbers, [len(frame.joints) for frame in frames]),
        np.concatenate([tracks_of(frame) for frame in frames]),
        np.concatenate([frame.joints for frame in frames]),
        np.concatenate([frame.scores for frame in frames]),
    )


class RowCollector:
    """Collects the persons of frames in a compact form."""

    def __init__(self) -> None:
        #: Bytes of the joints and scores so far.
        self.nbytes = 0
        self._recent: list[Frame] = []
        self._blocks: list[PersonRows] = []

    def add(self, frame: Frame) -> None:
        """Add a tracked frame with persons."""
        self.nbytes += frame.joints.nbytes + frame.scores.nbytes
        self._recent.append(frame)
        if len(self._recent) == _BLOCK:
            self._pack()

    def blocks(self) -> list[PersonRows]:
        """The persons of all frames; the collector is empty then."""
        if self._recent:
            self._pack()
        blocks, self._blocks = self._blocks, []
        return blocks

    def _pack(self) -> None:
        self._blocks.append(rows_of(self._recent))
        self._recent.clear()


def most_seen(blocks: Sequence[PersonRows], most: int) -> tuple[NDArray[np.int64], int]:
    """The persons who are seen most, the first of them most, and the number of the others.

    Among equals the lower number comes first.
    """
    seen: dict[int, float] = {}
    for block in blocks:
        persons, place = np.unique(block.tracks, return_inverse=True)
        sums = np.bincount(place, weights=block.seen)
        for person, total in zip(persons.tolist(), sums.tolist(), strict=True):
            seen[person] = seen.get(person, 0.0) + total
    order = sorted(seen, key=lambda person: (-seen[person], person))
    return np.array(order[:most], dtype=np.int64), max(len(order) - most, 0)


def fill_clip(
    blocks: list[PersonRows],
    tracks: NDArray[np.int64],
    first: int,
    step: int,
    joints: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> None:
    """Write persons into the arrays of a clip; the list of blocks is empty afterwards.

    Args:
        blocks: Persons, by frame.
        tracks: Numbers of the wanted persons ``[M]``.
        first: Number of the clip's first frame.
        step: Difference between the numbers of consecutive frames.
        joints: Where coordinates go ``[M, T, V, C]``, zero elsewhere.
        scores: Where scores go ``[M, T, V]``, zero elsewhere.
    """
    order = np.argsort(tracks)
    while blocks:
        block = blocks.pop()
        slot = np.searchsorted(tracks, block.tracks, sorter=order)
        person = order[np.minimum(slot, len(order) - 1)] if len(order) else slot
        # Of two poses with one number in a frame, the one with the higher scores is written last.
        rows = np.argsort(block.seen, kind="stable")
        rows = rows[tracks[person[rows]] == block.tracks[rows]] if len(order) else rows[:0]
        time = (block.frames[rows] - first) // step
        joints[person[rows], time] = block.joints[rows]
        scores[person[rows], time] = block.scores[rows]
