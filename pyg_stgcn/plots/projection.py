"""The place of a recording's joints in an image."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.painter import MIN_SCORE
from pyg_stgcn.plots.viewpoint import VIEW, find_turn
from pyg_stgcn.poses.recording import Frame, Recording

Points = NDArray[np.float64]

#: Persons of the first frames, by whom the direction that is up is found.
_FIRST = 300


@dataclass(frozen=True)
class Projection:
    """Turns coordinates of joints into pixels: ``joints @ matrix + offset``.

    Args:
        matrix: ``[C, 2]``.
        offset: ``[2]``.
        size: Height and width of the image in pixels.
        has_score: Whether joints of a low score are left out.
    """

    matrix: Points
    offset: Points
    size: tuple[int, int]
    has_score: bool

    def __call__(self, frame: Frame) -> Points:
        """The joints of a frame in pixels ``[M, V, 2]``, NaN where nothing is to be drawn."""
        seen = frame.scores >= MIN_SCORE if self.has_score else frame.scores > 0
        pixels = frame.joints.astype(np.float64) @ self.matrix + self.offset
        return np.where(seen[..., None], pixels, np.nan)


def project_image(
    recording: Recording, image_size: tuple[float, float], sides: tuple[int, int]
) -> Projection:
    """The projection of pixels into an image of another size.

    Args:
        recording: A recording in 2-D. Its image size, if known, is the scale of its pixels.
        image_size: Height and width of the image.
        sides: Least and greatest length of the longer side that is drawn.
    """
    height, width = image_size
    scale = float(np.clip(max(height, width), *sides)) / max(height, width)
    size = max(2, round(height * scale)), max(2, round(width * scale))
    of_poses = recording.image_size or image_size
    matrix = np.diag([size[1] / of_poses[1], size[0] / of_poses[0]])
    return Projection(matrix, np.zeros(2), size, recording.has_score)


def project_extent(recording: Recording, side: int) -> Projection:
    """The projection of all joints into an image whose longer side is given in pixels.

    Bodies in 3-D are seen from a little beside and above. Reads the recording once.

    Raises:
        InputError: No joint is present.
    """
    low, high, first = _survey(recording)
    matrix = np.eye(2)
    if recording.num_channels == 3:
        # Rows of an image go down.
        matrix = find_turn(first, recording.skeleton) @ VIEW @ np.diag([1.0, -1.0])
    corners = np.array(list(product(*zip(low, high, strict=True)))) @ matrix
    low, high = corners.min(axis=0), corners.max(axis=0)
    span = float((high - low).max()) or 1.0
    margin = 0.08 * span
    scale = side / (span + 2 * margin)
    width, height = np.maximum(2, np.ceil((high - low + 2 * margin) * scale)).astype(int)
    offset = (margin - low) * scale
    return Projection(matrix * scale, offset, (int(height), int(width)), recording.has_score)


def _survey(recording: Recording) -> tuple[Points, Points, Points]:
    """Least and greatest coordinates of all joints, and the persons of the first frames."""
    low = np.full(recording.num_channels, np.inf)
    high = -low
    first: list[NDArray[np.float32]] = []
    for frame in recording.frames():
        present = frame.joints[frame.scores > 0]
        if not len(present):
            continue
        low, high = np.minimum(low, present.min(axis=0)), np.maximum(high, present.max(axis=0))
        if len(first) < _FIRST:
            first.append(np.where((frame.scores > 0)[..., None], frame.joints, np.nan))
    if not first:
        raise InputError(f"{recording.path}: no joint is present in any frame; nothing to draw")
    return low, high, np.concatenate(first).astype(np.float64)
