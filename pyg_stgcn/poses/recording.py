"""Recordings: the persons that a pose estimator found, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.skeletons import Skeleton


class Frame(NamedTuple):
    """The persons of one frame.

    Args:
        number: Number of the frame, as in the file.
        joints: Coordinates ``[M, V, C]``: x and y in pixels, y down, or x, y, z. Zero where a joint
            is missing.
        scores: Confidence of the joints ``[M, V]``; 0 where a joint is missing, 1 where the
            file has no scores.
        tracks: Identity of the persons ``[M]``, the same in all frames; None if unknown.
        time: Seconds since some start, where frames have times of their own; else None, and the
            number and the frame rate tell it.
        dropped: Frames of a camera just before this one that nobody had the time to look at. Their
            numbers are missing, but not because nobody was seen.
    """

    number: int
    joints: NDArray[np.float32]
    scores: NDArray[np.float32]
    tracks: NDArray[np.int64] | None = None
    time: float | None = None
    dropped: int = 0


@dataclass(frozen=True)
class Recording:
    """One recording: a description, and its frames, which are read when they are needed.

    :attr:`frames` starts a new pass over the recording at every call, so that long recordings need
    little memory. Frames come in the order of their numbers. Frames without a person may be left
    out.

    Args:
        name: Name of the recording, such as the name of its file without ending.
        path: The file or folder, for messages.
        skeleton: The joints, in the order of the arrays.
        frames: Starts a pass over the frames.
        num_channels: Coordinates of a joint, 2 or 3.
        has_score: Whether the file has scores; without them, all scores are 0 or 1.
        image_size: Height and width of the images in pixels; None in 3-D, or if unknown.
        fps: Frames per second, if known.
        num_frames: Length in frames from the first to the last number, :obj:`step` apart, with
            gaps; None if it is not known without reading all frames.
        step: Difference between the numbers of consecutive frames, 10 where every tenth frame of a
            video was kept.
    """

    name: str
    path: Path
    skeleton: Skeleton
    frames: Callable[[], Iterator[Frame]]
    num_channels: int
    has_score: bool
    image_size: tuple[float, float] | None = None
    fps: float | None = None
    num_frames: int | None = None
    step: int = 1
