"""Tracking: the same number for the same person in all frames of a recording."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.similarity import TOLERANCE, Bodies, Floats, measure_bodies, pose_similarity
from pyg_stgcn.text import count as counted

logger = logging.getLogger(__name__)

#: A person who is away for more frames comes back as a new one.
MAX_GAP = 30
#: Least similarity of a person's poses in two frames.
MIN_SIMILARITY = 0.1
#: From this similarity on, two poses of one frame are the same person, found twice.
DUPLICATE = 0.8
#: A person who is away goes on for so many frames, and may be so much further away, as a fraction
#: of the tolerance, with every frame.
_COASTING, _DRIFT = 10, 0.1
#: Weight of the last step in the velocity, and of a joint's score with every frame without it.
_LATEST, _FADING = 0.5, 0.9
#: Bounds on the work of a frame. A picture that shows more persons shows them in a few pixels.
MAX_PERSONS_IN_FRAME, _MAX_TRACKS = 1024, 2048
#: First number of the persons without one, in a file that numbers others.
_UNNUMBERED = 1_000_000


class PoseTracker:
    """Gives persons their numbers, frame after frame.

    Every pose of a frame is assigned to a person known before, so that the sum of the similarities
    (:func:`~pyg_stgcn.poses.similarity.pose_similarity`) is as large as possible. Persons move on
    with constant velocity while nobody sees them. Who is like none of them is a new person.

    Args:
        step: Difference between the numbers of consecutive frames.
        first: Number of the first person.
    """

    def __init__(self, step: int = 1, first: int = 0) -> None:
        self._step = step
        self._numbers = count(first)
        self._ids = np.zeros(0, dtype=np.int64)
        self._last = np.zeros(0, dtype=np.int64)
        self._bodies: Bodies | None = None
        self._velocity: Floats = np.zeros(0)

    def update(self, frame: Frame) -> NDArray[np.int64]:
        """The numbers of the persons of the next frame ``[M]``."""
        seen = measure_bodies(frame.joints, frame.scores)
        if self._bodies is None:
            self._bodies = Bodies(*(array[:0] for array in seen))
            self._velocity = seen.center[:0]
        self._forget(frame.number)
        away = (frame.number - self._last) // self._step
        known = self._moved(self._bodies, away)
        similarity = pose_similarity(known, seen, TOLERANCE * (1 + _DRIFT * (away - 1)))
        row, column = linear_sum_assignment(similarity, maximize=True)
        good = similarity[row, column] >= MIN_SIMILARITY
        row, column = row[good], column[good]
        ids = np.full(len(frame.joints), -1, dtype=np.int64)
        ids[column] = self._ids[row]
        self._follow(known, seen, row, column, away, frame.number)
        self._add(seen, ids, frame.number)
        return ids

    def _forget(self, number: int) -> None:
        assert self._bodies is not None
        keep = (number - self._last) // self._step <= MAX_GAP
        if keep.all() and len(keep) <= _MAX_TRACKS:
            return
        kept = np.flatnonzero(keep)
        kept = np.sort(kept[np.argsort(self._last[kept], kind="stable")[-_MAX_TRACKS:]])
        self._ids, self._last = self._ids[kept], self._last[kept]
        self._velocity = self._velocity[kept]
        self._bodies = Bodies(*(array[kept] for array in self._bodies))

    def _moved(self, bodies: Bodies, away: NDArray[np.int64]) -> Bodies:
        shift = self._velocity * np.minimum(away, _COASTING)[:, None]
        return bodies._replace(joints=bodies.joints + shift[:, None], center=bodies.center + shift)

    def _follow(
        self,
        known: Bodies,
        seen: Bodies,
        row: NDArray[np.int64],
        column: NDArray[np.int64],
        away: NDArray[np.int64],
        number: int,
    ) -> None:
        """Move the persons who were found again to where they are now."""
        if not len(row):
            return
        assert self._bodies is not None
        old, new = self._bodies, Bodies(*(array[column] for array in seen))
        both = np.minimum(old.scores[row], new.scores)[..., None]
        steps = (both * (new.joints - old.joints[row])).sum(axis=1) / np.maximum(
            both.sum(axis=1), np.finfo(np.float32).tiny
        )
        velocity = steps / away[row, None]
        self._velocity[row] += _LATEST * (velocity - self._velocity[row])
        shift = steps[:, None]
        present = new.scores > 0
        old.joints[row] = np.where(present[..., None], new.joints, old.joints[row] + shift)
        old.scores[row] = np.where(present, new.scores, _FADING * old.scores[row])
        old.center[row] = new.center
        old.size[row] = np.maximum(new.size, _FADING * old.size[row])
        self._last[row] = number

    def _add(self, seen: Bodies, ids: NDArray[np.int64], number: int) -> None:
        """Take the persons who are new, and write their numbers to ``ids``."""
        (new,) = np.nonzero(ids < 0)
        if not len(new):
            return
        assert self._bodies is not None
        ids[new] = [next(self._numbers) for _ in new]
        self._ids = np.concatenate([self._ids, ids[new]])
        self._last = np.concatenate([self._last, np.full(len(new), number)])
        self._velocity = np.concatenate([self._velocity, np.zeros_like(seen.center[new])])
        self._bodies = Bodies(
            *(np.concatenate([a, b[new]]) for a, b in zip(self._bodies, seen, strict=True))
        )


def distinct_persons(frame: Frame) -> NDArray[np.int64]:
    """The persons of a frame without those who were found twice, in their order.

    Of several poses of one person the one with the highest sum of scores counts.
    """
    everybody = np.arange(len(frame.joints))
    if len(everybody) < 2:
        return everybody
    bodies = measure_bodies(frame.joints, frame.scores)
    same = pose_similarity(bodies, bodies) >= DUPLICATE
    if same.sum() <= len(same):
        return everybody
    kept = np.zeros(len(same), dtype=bool)
    for person in np.argsort(-bodies.scores.sum(axis=1), kind="stable"):
        kept[person] = not (same[person] & kept).any()
    return np.flatnonzero(kept)


def track(recording: Recording, *, max_persons: int | None = None) -> Recording:
    """Numbers the persons of a recording, so that one person has one number in all frames.

    Numbers of the file are kept. Where it has none, persons are followed by :class:`PoseTracker`,
    and a pose that is nearly that of another person of the frame is left out: detectors without
    suppression find persons twice. Joints and scores stay as they are.

    Args:
        recording: The recording.
        max_persons: Keep so many persons, those who are seen most in the whole recording; it is
            read twice then. Default: all.

    Raises:
        InputError: While frames are read: if joints are not finite, frames do not follow each
            other, or a frame has more than 1,024 persons.

    Example:
        >>> [frame.tracks for frame in track(recording).frames()]
        [array([0, 1]), array([1, 0]), ...]
    """
    if max_persons is not None and max_persons < 1:
        raise InputError(f"max_persons: {max_persons} is too few; give at least 1")

    def frames() -> Iterator[Frame]:
        return _number_persons(recording)

    def most_seen() -> Iterator[Frame]:
        seen: dict[int, float] = defaultdict(float)
        for frame in frames():
            for person, score in zip(tracks_of(frame), frame.scores.sum(axis=1), strict=True):
                seen[int(person)] += float(score)
        kept = sorted(seen, key=lambda person: (-seen[person], person))[:max_persons]
        for frame in frames():
            yield select_persons(frame, np.isin(tracks_of(frame), kept))

    return replace(recording, frames=frames if max_persons is None else most_seen)


def tracks_of(frame: Frame) -> NDArray[np.int64]:
    """The numbers of the persons of a frame that was tracked."""
    assert frame.tracks is not None
    return frame.tracks


def select_persons(frame: Frame, persons: NDArray[np.generic]) -> Frame:
    """The frame with some of its persons, chosen by a mask or by their places."""
    tracks = None if frame.tracks is None else frame.tracks[persons]
    return Frame(frame.number, frame.joints[persons], frame.scores[persons], tracks)


def _number_persons(recording: Recording) -> Iterator[Frame]:
    tracker, others = PoseTracker(recording.step), PoseTracker(recording.step, _UNNUMBERED)
    duplicates, last, numbered = 0, None, False
    for frame in recording.frames():
        _check_frame(frame, last, recording)
        last = frame.number
        if frame.tracks is None and not numbered:
            kept = distinct_persons(frame)
            duplicates += len(frame.joints) - len(kept)
            frame = select_persons(frame, kept)
            yield frame._replace(tracks=tracker.update(frame))
            continue
        numbered = True
        tracks = np.full(len(frame.joints), -1) if frame.tracks is None else frame.tracks
        unknown = tracks < 0
        if unknown.any():
            tracks = tracks.copy()
            tracks[unknown] = others.update(select_persons(frame, unknown))
        yield frame._replace(tracks=tracks)
    if duplicates:
        logger.info(
            "%s: %s found twice in a frame, left out", recording.path, counted(duplicates, "person")
        )


def _check_frame(frame: Frame, last: int | None, recording: Recording) -> None:
    where = f"{recording.path}: frame {frame.number:,}"
    if last is not None and frame.number <= last:
        raise InputError(f"{where} comes after frame {last:,}; sort the frames by their numbers")
    if len(frame.joints) > MAX_PERSONS_IN_FRAME:
        raise InputError(
            f"{where} has {len(frame.joints):,} persons; at most {MAX_PERSONS_IN_FRAME:,} can be "
            "told apart: check that each is a person, and leave out uncertain ones"
        )
    if not np.isfinite(frame.joints).all() or not np.isfinite(frame.scores).all():
        raise InputError(
            f"{where}: coordinates and scores must be finite; give a missing joint the score 0 "
            "and the coordinates 0"
        )
