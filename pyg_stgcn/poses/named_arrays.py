"""Several arrays with names, as in NumPy's archives and in pickles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.array_clips import array_recording
from pyg_stgcn.poses.coordinates import as_numbers
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.ranges import FRAME_RATE

logger = logging.getLogger(__name__)

_Name = TypeVar("_Name")

#: Names of the entries of an archive or a pickle that hold one clip and what belongs to it.
_KEYPOINTS = ("keypoints", "keypoint", "joints", "poses", "pose", "landmarks", "skeleton", "data")
_SCORES = ("scores", "score", "keypoint_scores", "keypoint_score", "confidence", "visibility")
_SIZES = ("image_size", "img_shape", "image_shape")
_RATES = ("fps", "frame_rate")


def open_entries(path: Path, entries: Mapping[str, Any], hints: PoseHints) -> list[Recording]:
    """The recordings among arrays with names, as in an archive.

    Raises:
        InputError: There is no clip among them, or one cannot be used.
    """
    hints = replace(
        hints,
        image_size=read_image_size(str(path), entries) or hints.image_size,
        fps=_read_rate(path, entries) or hints.fps,
    )
    keypoints = next((name for name in _KEYPOINTS if _is_clip(entries.get(name))), None)
    if keypoints is not None:
        scores = next((entries[name] for name in _SCORES if name in entries), None)
        array = entries[keypoints]
        return [array_recording(path.stem, path, array, hints, scores=scores)]
    clips = {name: array for name, array in entries.items() if _is_clip(array)}
    if not clips:
        shown = ", ".join(
            f"{name} {getattr(value, 'shape', '')}" for name, value in list(entries.items())[:6]
        )
        raise InputError(
            f"{path}: contains no clip, only {shown or 'nothing'}; save the joints of a clip as "
            "keypoints, [frames, joints, channels] or [persons, frames, joints, channels]"
        )
    return open_each(
        path,
        clips.items(),
        lambda name, array: array_recording(name, path, array, hints, where=f"{path}: {name}"),
    )


def open_each(
    path: Path, clips: Iterable[tuple[_Name, Any]], open_one: Callable[[_Name, Any], Recording]
) -> list[Recording]:
    """The recordings of a file of several clips, of which some may be unusable.

    The log counts those, and says what is wrong with the first.

    Raises:
        InputError: None can be used.
    """
    found: list[Recording] = []
    errors: list[InputError] = []
    for name, clip in clips:
        try:
            found.append(open_one(name, clip))
        except InputError as error:
            errors.append(error)
    if errors and not found:
        raise errors[0]
    if errors:
        logger.warning(
            "%s: left out %d of %d clips; the first: %s",
            path,
            len(errors),
            len(errors) + len(found),
            errors[0],
        )
    return found


def _is_clip(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim in (3, 4) and value.dtype.kind in "fiu"


def read_image_size(where: str, entries: Mapping[str, Any]) -> tuple[float, float] | None:
    """Height and width in an entry such as ``img_shape``; None without one.

    Raises:
        InputError: The entry is not two positive numbers.
    """
    name = next((name for name in _SIZES if name in entries), None)
    if name is None:
        return None
    numbers = as_numbers(entries[name])
    if numbers.shape != (2,) or not (numbers > 0).all() or np.isinf(numbers).any():
        raise InputError(
            f"{where}: {name} is not (height, width), two positive numbers; correct it"
        )
    return float(numbers[0]), float(numbers[1])


def _read_rate(path: Path, entries: Mapping[str, Any]) -> float | None:
    name = next((name for name in _RATES if name in entries), None)
    if name is None:
        return None
    numbers = as_numbers(entries[name])
    if numbers.size != 1 or numbers.item() not in FRAME_RATE:
        raise InputError(
            f"{path}: {name} is not a number of frames per second in {FRAME_RATE}; correct it"
        )
    return float(numbers.reshape(()))
