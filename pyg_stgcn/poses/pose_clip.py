"""Clips: recordings, or windows of them, as arrays of a few persons."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.person_rows import PersonRows, RowCollector, fill_clip, most_seen, rows_of
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.tracking import track
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
    rows = RowCollector()
    first = last = None
    for frame in _without_large_gaps(track(recording).frames(), recording):
        first, last = frame.number if first is None else first, frame.number
        if len(frame.joints):
            rows.add(frame)
        if rows.nbytes > MAX_BYTES:
            raise _too_long(recording, first, last)
    if first is None or last is None:
        raise InputError(f"{recording.path}: there are no frames in it")
    clip, left_out = _to_clip(recording, rows.blocks(), first, last, wanted)
    if left_out:
        logger.info(
            "%s: the %s seen most are kept, %d more left out (max_persons)",
            recording.path,
            count(wanted, "person"),
            left_out,
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
    """Windows whose length and stride are in numbers of frames."""
    buffer: deque[Frame] = deque()
    start, last, nbytes = None, 0, 0

    def window(first: int, last: int) -> PoseClip:
        frames = [frame for frame in buffer if frame.number <= last]
        blocks = [rows_of(frames)] if frames else []
        return _to_clip(recording, blocks, first, last, wanted)[0]

    for frame in _without_large_gaps(track(recording).frames(), recording):
        start = frame.number if start is None else start
        while frame.number >= start + length:
            yield window(start, start + length - recording.step)
            start += stride
            while buffer and buffer[0].number < start:
                nbytes -= _nbytes(buffer.popleft())
        last = frame.number
        if last >= start and len(frame.joints):
            buffer.append(frame)
            nbytes += _nbytes(frame)
            if nbytes > MAX_BYTES:
                raise _too_long(recording, start, last)
    if start is None:
        raise InputError(f"{recording.path}: there are no frames in it")
    if last >= start:
        yield window(start, last)


def _nbytes(frame: Frame) -> int:
    return frame.joints.nbytes + frame.scores.nbytes


def _without_large_gaps(frames: Iterator[Frame], recording: Recording) -> Iterator[Frame]:
    last = None
    for frame in frames:
        if last is not None and frame.number - last > MAX_GAP_FRAMES * recording.step:
            raise InputError(
                f"{recording.path}: after frame {last:,} comes frame {frame.number:,}; a gap may "
                f"have {MAX_GAP_FRAMES:,} frames at most: number the frames one after the other"
            )
        last = frame.number
        yield frame


def _to_clip(
    recording: Recording, blocks: list[PersonRows], first: int, last: int, wanted: int
) -> tuple[PoseClip, int]:
    """A clip of the persons who are seen most, and the number of the others."""
    tracks, left_out = most_seen(blocks, wanted)
    shape = (len(tracks), (last - first) // recording.step + 1, recording.skeleton.num_joints)
    if 4 * math.prod(shape) * (recording.num_channels + 1) > MAX_BYTES:
        raise _too_long(recording, first, last)
    clip = PoseClip(
        name=recording.name,
        joints=np.zeros((*shape, recording.num_channels), dtype=np.float32),
        scores=np.zeros(shape, dtype=np.float32),
        tracks=tracks,
        first_frame=first,
        step=recording.step,
        skeleton=recording.skeleton,
        image_size=recording.image_size,
        fps=recording.fps,
        has_score=recording.has_score,
    )
    fill_clip(blocks, tracks, first, recording.step, clip.joints, clip.scores)
    return clip, left_out


def _too_long(recording: Recording, first: int, last: int) -> InputError:
    return InputError(
        f"{recording.path}: frames {first:,} to {last:,} do not fit into one clip (of at most "
        f"{MAX_BYTES / 2**30:g} GiB); read shorter windows of it, or cut it"
    )


def _check_persons(max_persons: int | None) -> int:
    if max_persons is not None and max_persons < 1:
        raise InputError(f"max_persons: {max_persons} is too few; give at least 1")
    return DEFAULT_PERSONS if max_persons is None else max_persons
