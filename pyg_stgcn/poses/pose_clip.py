"""Clips: recordings, or windows of them, as arrays of a few persons."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.tracking import track, tracks_of
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import count

logger = logging.getLogger(__name__)

#: Persons of a clip unless told otherwise, as in PYSKL.
DEFAULT_PERSONS = 2
#: Most bytes of the joints of a clip. Two persons of coco17 fill them in a day at 30 frames a
#: second.
MAX_BYTES = 2**30
#: Most frames without a person in a row. More are a mistake in the numbers of the frames.
MAX_GAP_FRAMES = 10**7


@dataclass(frozen=True)
class PoseClip:
    """Some persons over some time, as arrays.

    Args:
        name: Name of the recording.
        joints: Coordinates ``[M, T, V, C]``; zero where a joint or the person is missing.
        scores: Confidence ``[M, T, V]``; zero where a joint or the person is missing.
        tracks: Numbers of the persons ``[M]``, those who are seen most first.
        first_frame: Number of the first frame.
        step: Difference between the numbers of two frames.
        skeleton: The joints.
        image_size: Height and width of the images in pixels, if known.
        fps: Frame numbers per second, if known.
        has_score: Whether the scores say more than which joints are missing.
    """

    name: str
    joints: NDArray[np.float32]
    scores: NDArray[np.float32]
    tracks: NDArray[np.int64]
    first_frame: int
    step: int
    skeleton: Skeleton
    image_size: tuple[float, float] | None
    fps: float | None
    has_score: bool

    @property
    def num_persons(self) -> int:
        """The number of persons M; 0 if nobody is seen."""
        return len(self.joints)

    @property
    def num_frames(self) -> int:
        """The number of frames T."""
        return self.joints.shape[1]

    @property
    def last_frame(self) -> int:
        """Number of the last frame."""
        return self.first_frame + (self.num_frames - 1) * self.step

    @property
    def start(self) -> float | None:
        """Time of the first frame in seconds; None if the frame rate is unknown."""
        return None if self.fps is None else self.first_frame / self.fps

    @property
    def end(self) -> float | None:
        """Time at the end of the last frame in seconds; None if the frame rate is unknown."""
        return None if self.fps is None else (self.last_frame + self.step) / self.fps

    def to_array(self) -> NDArray[np.float32]:
        """The clip for :meth:`Recognizer.predict`: x, y and score, or x, y, z ``[M, T, V, 3]``."""
        if self.joints.shape[-1] > 2:
            return self.joints
        return np.concatenate([self.joints, self.scores[..., None]], axis=-1)


def collect_clip(recording: Recording, *, max_persons: int | None = None) -> PoseClip:
    """Reads a whole recording into one clip.

    Persons are tracked (:func:`~pyg_stgcn.poses.tracking.track`). Those who are seen most are kept
    and come first: the sum of the scores of their joints is largest. Missing frames become frames
    without persons. If nobody is seen, the clip has no persons.

    Args:
        recording: The recording.
        max_persons: Most persons to keep. Default: 2, as in PYSKL.

    Raises:
        InputError: If the recording has no frames, or is too long for one clip; and as in
            :func:`~pyg_stgcn.poses.tracking.track`.
    """
    wanted = _check_persons(max_persons)
    frames: list[Frame] = []
    size = 0
    for frame in _steady(recording):
        size += frame.joints.nbytes + frame.scores.nbytes
        if size > MAX_BYTES:
            raise _too_long(recording, frame.number - frames[0].number + 1)
        frames.append(frame)
    if not frames:
        raise InputError(f"{recording.path}: there are no frames in it")
    first, last = frames[0].number, frames[-1].number
    clip, left_out = _to_clip(recording, frames, first, last, wanted)
    if left_out:
        logger.info(
            "%s: the %s seen most of %s are kept (max_persons)",
            recording.path,
            count(wanted, "person"),
            count(wanted + left_out, "person"),
        )
    return clip


def clip_windows(
    recording: Recording, length: int, stride: int, *, max_persons: int | None = None
) -> Iterator[PoseClip]:
    """Cuts a recording into windows while it is read.

    Only the frames of one window are in memory. The last window ends with the recording, and may be
    shorter. A person has the same number in all windows; each window keeps the persons who are
    seen most in it.

    Args:
        recording: The recording.
        length: Frames of a window.
        stride: Frames from the start of a window to the start of the next.
        max_persons: Most persons of a window. Default: 2, as in PYSKL.

    Raises:
        InputError: If length or stride is below 1; while frames are read, as in
            :func:`collect_clip`.
    """
    wanted = _check_persons(max_persons)
    for name, value in (("length", length), ("stride", stride)):
        if value < 1:
            raise InputError(f"{name}: {value} is too few frames; give at least 1")
    return _windows(recording, length * recording.step, stride * recording.step, wanted)


def _windows(recording: Recording, length: int, stride: int, wanted: int) -> Iterator[PoseClip]:
    buffer: deque[Frame] = deque()
    start, size, last = None, 0, 0
    for frame in _steady(recording):
        start = frame.number if start is None else start
        while frame.number >= start + length:
            yield _to_clip(recording, buffer, start, start + length - recording.step, wanted)[0]
            start += stride
            while buffer and buffer[0].number < start:
                gone = buffer.popleft()
                size -= gone.joints.nbytes + gone.scores.nbytes
        last = frame.number
        if last >= start:
            buffer.append(frame)
            size += frame.joints.nbytes + frame.scores.nbytes
            if size > MAX_BYTES:
                raise _too_long(recording, last - start + 1)
    if start is None:
        raise InputError(f"{recording.path}: there are no frames in it")
    if last >= start:
        yield _to_clip(recording, buffer, start, last, wanted)[0]


def _steady(recording: Recording) -> Iterator[Frame]:
    """Tracked frames whose numbers grow in the recording's steps."""
    first = last = None
    for frame in track(recording).frames():
        number = frame.number
        first = number if first is None else first
        if (number - first) % recording.step:
            raise InputError(
                f"{recording.path}: frame {number:,} is not a multiple of {recording.step} after "
                f"frame {first:,}, the first; number the frames evenly"
            )
        if last is not None and number - last > MAX_GAP_FRAMES * recording.step:
            raise InputError(
                f"{recording.path}: after frame {last:,} comes frame {number:,}; a gap may have "
                f"{MAX_GAP_FRAMES:,} frames at most: number the frames one after the other"
            )
        last = number
        yield frame


def _to_clip(
    recording: Recording, frames: Iterable[Frame], first: int, last: int, wanted: int
) -> tuple[PoseClip, int]:
    """A clip of the persons who are seen most, and the number of those left out."""
    frames = [frame for frame in frames if first <= frame.number <= last and len(frame.joints)]
    num_frames = (last - first) // recording.step + 1
    num_joints, channels = recording.skeleton.num_joints, recording.num_channels
    kept, everybody = np.zeros(0, dtype=np.int64), 0
    if frames:
        tracks = np.concatenate([tracks_of(frame) for frame in frames])
        scores = np.concatenate([frame.scores for frame in frames])
        persons, place = np.unique(tracks, return_inverse=True)
        seen = np.bincount(place, weights=scores.sum(axis=1, dtype=np.float64))
        # Somebody without any joint is nobody.
        everybody = int((seen > 0).sum())
        chosen = np.argsort(-seen, kind="stable")[: min(wanted, everybody)]
        kept = persons[chosen]
    if 4 * len(kept) * num_frames * num_joints * (channels + 1) > MAX_BYTES:
        raise _too_long(recording, last - first + 1)
    clip = PoseClip(
        name=recording.name,
        joints=np.zeros((len(kept), num_frames, num_joints, channels), dtype=np.float32),
        scores=np.zeros((len(kept), num_frames, num_joints), dtype=np.float32),
        tracks=kept,
        first_frame=first,
        step=recording.step,
        skeleton=recording.skeleton,
        image_size=recording.image_size,
        fps=recording.fps,
        has_score=recording.has_score,
    )
    if frames:
        slot = np.full(len(persons), -1)
        slot[chosen] = np.arange(len(chosen))
        lengths = [len(frame.joints) for frame in frames]
        numbers = np.repeat([frame.number for frame in frames], lengths)
        person, time = slot[place], (numbers - first) // recording.step
        # Of two poses with one number in one frame, the one with the higher scores comes last.
        order = np.argsort(scores.sum(axis=1), kind="stable")
        order = order[person[order] >= 0]
        joints = np.concatenate([frame.joints for frame in frames])
        clip.joints[person[order], time[order]] = joints[order]
        clip.scores[person[order], time[order]] = scores[order]
    return clip, everybody - len(kept)


def _too_long(recording: Recording, num_frames: int) -> InputError:
    return InputError(
        f"{recording.path}: {num_frames:,} frames are too long for one clip in memory (more than "
        f"{MAX_BYTES / 2**30:g} GiB); read windows of it, or cut it"
    )


def _check_persons(max_persons: int | None) -> int:
    if max_persons is not None and max_persons < 1:
        raise InputError(f"max_persons: {max_persons} is too few; give at least 1")
    return DEFAULT_PERSONS if max_persons is None else max_persons
