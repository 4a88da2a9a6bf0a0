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
    chosen = {"joints": frame.joints[persons], "scores": frame.scores[persons]}
    return frame._replace(**chosen, tracks=tracks)


class PersonNumbers:
    """Numbers the persons of one frame after another, see :func:`track`.

    Args:
        step: Difference between the numbers of consecutive frames.
    """

    def __init__(self, step: int = 1) -> None:
        self._step = step
        self._tracker: PoseTracker | None = None
        self._numbered = False
        #: Poses that were left out because the person was found twice.
        self.duplicates = 0

    def __call__(self, frame: Frame) -> Frame:
        """The frame with the persons who are seen, and their numbers.

        Frames come in the order of their numbers, checked by :func:`check_frame`.
        """
        if frame.scores.min(initial=1) <= 0:
            frame = select_persons(frame, frame.scores.max(axis=1) > 0)
        if len(frame.joints) and self._tracker is None:
            # Numbers of the file, if it has any, are in the first frame that shows somebody.
            self._numbered = frame.tracks is not None
            self._tracker = PoseTracker(self._step, _UNNUMBERED if self._numbered else 0)
        if self._tracker is None:
            tracks = np.zeros(0, dtype=np.int64)
        elif self._numbered:
            tracks = _number_rest(frame, self._tracker)
        else:
            tracks = self._tracker.update(frame.number, frame.joints, frame.scores)
        frame = frame._replace(tracks=tracks)
        found_twice = int(np.count_nonzero(tracks < 0))
        self.duplicates += found_twice
        return select_persons(frame, tracks >= 0) if found_twice else frame


def _number_persons(recording: Recording) -> Iterator[Frame]:
    numbers = PersonNumbers(recording.step)
    yield from map(numbers, _checked_frames(recording))
    if numbers.duplicates:
        found_twice = count(numbers.duplicates, "person")
        logger.info("%s: %s found twice in a frame, left out", recording.path, found_twice)


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
        check_frame(frame, recording.skeleton.num_joints, recording.num_channels, where)
        last = frame.number
        yield frame


def check_frame(frame: Frame, num_joints: int, num_channels: int, where: str) -> None:
    """Check the persons of a frame.

    Args:
        frame: The frame.
        num_joints: Number of joints of a person.
        num_channels: Coordinates of a joint.
        where: Name of the frame, for the error.

    Raises:
        InputError: They have other joints, values that are not finite, or there are more than 1,024
            persons.
    """
    shape = (len(frame.joints), num_joints)
    if frame.scores.shape != shape or frame.joints.shape != (*shape, num_channels):
        raise InputError(
            f"{where}: joints {frame.joints.shape} and scores {frame.scores.shape} are not those "
            f"of {num_joints} joints with {num_channels} coordinates"
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
