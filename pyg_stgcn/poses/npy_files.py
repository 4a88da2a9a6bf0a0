"""Readers of NumPy files: ``.npy`` with one clip, ``.npz`` with one or several."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.array_clips import array_recording
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Recording

#: Names of the entries of an archive or a pickle that hold one clip and what belongs to it.
_KEYPOINTS = ("keypoints", "keypoint", "joints", "poses", "pose", "landmarks", "skeleton", "data")
_SCORES = ("scores", "score", "keypoint_scores", "keypoint_score", "confidence", "visibility")
_SIZES = ("image_size", "img_shape", "image_shape")
_RATES = ("fps", "frame_rate")


class NpyReader:
    """Reader of ``.npy`` files with one clip.

    The array is ``[T, V, C]`` or ``[M, T, V, C]``, or has its axes in the order of the first
    programs of ST-GCN, ``[C, T, V, M]``. It stays on disk and is read block by block.
    """

    format = "NumPy arrays (.npy)"

    def recognises(self, path: Path, head: bytes) -> bool:
        return head.startswith(b"\x93NUMPY")

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError, SyntaxError) as error:
            raise InputError(f"{path}: {_damage(error)}") from None
        return [array_recording(path.stem, path, array, hints)]


class NpzReader:
    """Reader of ``.npz`` archives: one clip with its scores, or several clips by name.

    One clip is called ``keypoints``, and may have ``scores``, ``image_size`` (height and width) and
    ``fps`` beside it. Without such an entry, every array of three or four axes is a clip.
    """

    format = "NumPy archives (.npz)"

    def recognises(self, path: Path, head: bytes) -> bool:
        return head.startswith(b"PK\x03\x04") and path.suffix == ".npz"

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        try:
            with np.load(path, allow_pickle=False) as archive:
                entries = {name: archive[name] for name in archive.files}
        except (ValueError, OSError, EOFError, SyntaxError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: {_damage(error)}") from None
        return open_entries(path, entries, hints)


def open_entries(path: Path, entries: Mapping[str, Any], hints: PoseHints) -> list[Recording]:
    """The recordings among arrays with names, as in an archive.

    Raises:
        InputError: There is no clip among them, or one cannot be used.
    """
    hints = replace(
        hints,
        image_size=_read_size(path, entries) or hints.image_size,
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
    return [
        array_recording(name, path, array, hints, where=f"{path}: {name}")
        for name, array in clips.items()
    ]


def _is_clip(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim in (3, 4) and value.dtype.kind in "fiu"


def _read_size(path: Path, entries: Mapping[str, Any]) -> tuple[float, float] | None:
    name = next((name for name in _SIZES if name in entries), None)
    if name is None:
        return None
    numbers = _numbers(entries[name])
    if numbers.shape != (2,) or not (numbers > 0).all():
        raise InputError(f"{path}: {name} is not (height, width), two positive numbers")
    return float(numbers[0]), float(numbers[1])


def _read_rate(path: Path, entries: Mapping[str, Any]) -> float | None:
    name = next((name for name in _RATES if name in entries), None)
    if name is None:
        return None
    numbers = _numbers(entries[name])
    if numbers.size != 1 or not numbers.min() > 0:
        raise InputError(f"{path}: {name} is not a positive number of frames per second")
    return float(numbers.reshape(()))


def _numbers(value: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return np.empty(0)


def _damage(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Object arrays" in str(error) or "Python object" in str(error):
        return (
            "holds Python objects, which are not read because they could run code; save plain "
            "arrays of numbers, one for every clip"
        )
    return f"damaged, or not a NumPy file ({error}); write it again"
