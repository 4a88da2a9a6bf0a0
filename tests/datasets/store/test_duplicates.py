from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.store.clip_store import Clip, ClipStore
from pyg_stgcn.datasets.store.duplicates import Copies, first_copies


def same_checksum() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two arrays that differ and have the same CRC-32; among 2^18 there is one by far."""
    seen: dict[int, NDArray[np.float32]] = {}
    for values in np.random.default_rng(0).normal(size=(2**18, 1, 1, 2, 3)).astype(np.float32):
        other = seen.setdefault(zlib.crc32(values.tobytes()), values)
        if other is not values:
            return other, values
    raise AssertionError


def test_first_copies_go_by_the_coordinates_not_by_their_checksum(tmp_path: Path) -> None:
    one, other = same_checksum()
    assert not np.array_equal(one, other)
    assert zlib.crc32(one.tobytes()) == zlib.crc32(other.tobytes())
    keypoints = [one, 2 * one, other, one, other, np.concatenate([one, one], axis=1)]
    clips = [Clip(f"clip {i}", i, keypoint) for i, keypoint in enumerate(keypoints)]
    store = ClipStore.build(tmp_path / "store", clips, {"dtype": "float32", "splits": {}})
    assert first_copies(store).tolist() == [0, 1, 2, 0, 2, 5]
    copies = Copies(store)
    assert copies.groups() == [[0, 3], [2, 4]]
    assert copies.are_among(np.array([3, 4, 5]), np.array([0, 1, 5])).tolist() == [
        True,
        False,
        True,
    ]


def test_the_same_numbers_in_another_shape_are_another_clip(tmp_path: Path) -> None:
    keypoint = np.arange(1, 13, dtype=np.float32).reshape(2, 1, 2, 3)
    clips = [Clip("two persons", 0, keypoint), Clip("two frames", 0, keypoint.swapaxes(0, 1))]
    store = ClipStore.build(tmp_path / "store", clips, {"dtype": "float32", "splits": {}})
    assert store.checksums[0] == store.checksums[1]
    assert first_copies(store).tolist() == [0, 1]
