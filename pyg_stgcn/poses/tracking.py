"""Tracking: the same number for the same person in all frames of a recording."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.pose_tracker import PoseTracker
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

#: Bounds on the work of a frame. An image with more persons shows each in a few pixels.
MAX_PERSONS_IN_FRAME = 1024
#: Squares of coordinates must be finite numbers of 32 bits.
_TOO_LARGE = 1e12
#: First number of the persons without one, in a file that numbers others.
_UNNUMBERED = 1_000_000


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
    tracker, duplicates = None, 0
    for frame in _checked_frames(recording):
        if frame.scores.min(initial=1) <= 0:
            frame = select_persons(frame, frame.scores.max(axis=1) > 0)
        if len(frame.joints) and tracker is None:
            # Numbers of the file, if it has any, are in the first frame that shows somebody.
            numbered = frame.tracks is not None
            tracker = PoseTracker(recording.step, _UNNUMBERED if numbered else 0)
        if tracker is None:
            tracks = np.zeros(0, dtype=np.int64)
        elif numbered:
            tracks = _number_rest(frame, tracker)
        else:
            tracks = tracker.update(frame.number, frame.joints, frame.scores)
        frame = frame._replace(tracks=tracks)
        found_twice = int(np.count_nonzero(tracks < 0))
        duplicates += found_twice
        yield select_persons(frame, tracks >= 0) if found_twice else frame
    if duplicates:
        logger.info(
            "%s: %s found twice in a frame, left out", recording.path, count(duplicates, "person")
        )


def _number_rest(frame: Frame, tracker: PoseTracker) -> NDArray[np.int64]:
    """The numbers of the persons of a frame, of whom the file numbers some."""
    tracks = np.full(len(frame.joints), -1) if frame.tracks is None else frame.tracks
    rest = tracks < 0
    if rest.any():
        tracks = tracks.copy()
        tracks[rest] = tracker.update(frame.number, frame.joints[rest], frame.scores[rest])
    return tracks


def _checked_frames(recording: Recording) -> Iterator[Frame]:
    first = last = None
    for frame in recording.frames():
        where = f"{recording.path}: frame {frame.number:,}"
        first = frame.number if first is None else first
        if last is not None and frame.number <= last:
            raise InputError(
                f"{where} comes after frame {last:,}; sort the frames by their numbers"
            )
        if (frame.number - first) % recording.step:
            raise InputError(
                f"{where} is not a multiple of {recording.step} after frame {first:,}, the first; "
                "number the frames evenly"
            )
        _check_persons(frame, recording, where)
        last = frame.number
        yield frame


def _check_persons(frame: Frame, recording: Recording, where: str) -> None:
    shape = (len(frame.joints), recording.skeleton.num_joints)
    if frame.scores.shape != shape or frame.joints.shape != (*shape, recording.num_channels):
        raise InputError(
            f"{where}: joints {frame.joints.shape} and scores {frame.scores.shape} are not those "
            f"of {shape[1]} joints with {recording.num_channels} coordinates"
        )
    if len(frame.joints) > MAX_PERSONS_IN_FRAME:
        raise InputError(
            f"{where} has {len(frame.joints):,} persons; at most {MAX_PERSONS_IN_FRAME:,} can be "
            "told apart: check that each is a person, and leave out uncertain ones"
        )
    # One product is faster than the largest of all absolute values.
    squares = (np.vdot(array, array) for array in (frame.joints, frame.scores))
    if not all(square < _TOO_LARGE**2 for square in squares):
        raise InputError(
            f"{where}: coordinates and scores must be finite numbers below {_TOO_LARGE:g}; give a "
            "missing joint the score 0 and the coordinates 0"
        )
