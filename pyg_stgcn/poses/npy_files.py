"""Readers of NumPy files: ``.npy`` with one clip, ``.npz`` with one or several."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.array_clips import array_recording
from pyg_stgcn.poses.named_arrays import open_entries
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Recording


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
        except Exception as error:  # A damaged header can raise anything that Python's parser can.
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
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                entries = {name: archive[name] for name in archive.files}
        except Exception as error:  # So can damaged bytes in an archive.
            raise InputError(f"{path}: {_damage(error)}") from None
        return open_entries(path, entries, hints)


def _damage(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return (
            "holds Python objects, which are not read because they could run code; save plain "
            "arrays of numbers, one for every clip"
        )
    return f"damaged, or not a NumPy file ({error}); write it again"
