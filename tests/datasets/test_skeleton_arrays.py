from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton

ARM = Skeleton("arm", ("shoulder", "elbow", "hand"), ((1, 0), (2, 1)), center=0)


def clips(count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(1 + i % 2, 3 + i, 3, 3)) for i in range(count)]


def make(root: Path, **changes: Any) -> SkeletonDataset:
    splits = {"train": [0, 2], "val": ["clip1"]}
    options = {"arrays": clips(), "labels": [0, 1, 2, 1], "skeleton": ARM, "splits": splits}
    return SkeletonDataset.from_arrays(root, **{**options, **changes})


def test_items_are_the_arrays(tmp_path: Path) -> None:
    dataset = make(tmp_path, split="all")
    assert dataset.names == ["clip0", "clip1", "clip2", "clip3"]
    assert dataset.labels.tolist() == [0, 1, 2, 1]
    assert (dataset.skeleton, dataset.classes) == (ARM, ["0", "1", "2"])
    for data, array in zip(dataset, clips(), strict=True):
        x = data.x.view(len(array), 3, -1, 3).transpose(1, 2)
        assert np.array_equal(x, array.astype(np.float32))
    assert make(tmp_path).names == ["clip0", "clip2"]
    assert make(tmp_path, split="val").names == ["clip1"]


def test_without_splits_there_are_all_clips(tmp_path: Path) -> None:
    dataset = make(tmp_path, splits=None)
    assert (dataset.split, len(dataset), dataset.benchmarks) == ("all", 4, ())
    with pytest.raises(InputError, match=r"^arrays: no division into training and validation"):
        make(tmp_path, splits=None, split="train")


def test_names_classes_and_image_sizes(tmp_path: Path) -> None:
    dataset = make(
        tmp_path,
        names=["d", "c", "b", "a"],
        classes=["nod", "wave", "kick", "never"],
        splits={"x_train": ["d", 1], "x_val": np.array([3])},
        arrays=[20 * abs(array) for array in clips()],
        image_sizes=np.array([[240, 320]] * 4),
    )
    assert dataset.names == ["d", "c"]
    assert (dataset.benchmarks, dataset.classes[3]) == (("x",), "never")
    assert dataset.has_score
    assert dataset[0].image_size.tolist() == [[240, 320]]


def test_the_store_is_used_while_nothing_changes(tmp_path: Path) -> None:
    table = tmp_path / "processed/arrays/table.npy"
    make(tmp_path)
    before = table.stat().st_mtime_ns, table.stat().st_ino
    make(tmp_path, split="val")
    assert (table.stat().st_mtime_ns, table.stat().st_ino) == before
    in_2d = [4 + array[..., :2] for array in clips()]
    ones = [np.ones(array.shape[:3]) for array in in_2d]
    other = clips()
    other[3][0, 0, 0, 0] += 1
    for changes in (
        {"arrays": other},
        {"labels": [0, 1, 2, 0]},
        {"splits": {"train": [0], "val": [1]}},
        {"names": ["clip0", "clip1", "clip2", "other"]},
        {"classes": ["x", "y", "z"]},
        {"arrays": in_2d, "image_sizes": [(9, 9)] * 4},
        {"arrays": in_2d, "image_sizes": [(8, 8)] * 4},
        {"arrays": in_2d, "image_sizes": [(8, 8)] * 4, "scores": ones},
        {"arrays": in_2d, "image_sizes": [(8, 8)] * 4, "scores": [2 * score for score in ones]},
    ):
        dataset = make(tmp_path, **changes)
        after = table.stat().st_mtime_ns, table.stat().st_ino
        assert after != before, changes
        before = after
    assert dataset[0].image_size.tolist() == [[8, 8]]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, int])
def test_precision(tmp_path: Path, kind: Any) -> None:
    make(tmp_path, arrays=[(10 * array).astype(kind) for array in clips()])
    kept = np.load(tmp_path / "processed/arrays/keypoint.npy").dtype
    assert kept == (np.float16 if kind is np.float16 else np.float32)


def with_array(array: Any) -> dict[str, Any]:
    return {"arrays": [*clips(3), array]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (with_array(np.ones((4, 3, 3))), r"^arrays\[3\] has shape \(4, 3, 3\) and type float64"),
        (with_array(np.ones((1, 4, 3, 2))), r"^arrays\[3\] has 2 channels"),
        (with_array([[1], [1, 2]]), r"^arrays\[3\] is no array"),
        (with_array("abc"), r"^arrays\[3\] has shape \(\) and type <U3"),
        (with_array(np.ones((1, 4, 5, 3))), r"^arrays\[3\]: clip 'clip3' has 5 joints.*; name the"),
        (with_array(np.zeros((1, 4, 3, 3))), r"^arrays\[3\]: clip 'clip3' is empty"),
        (with_array(np.full((1, 4, 3, 3), np.nan)), r"^arrays\[3\]: .*NaN"),
        ({"labels": [0, 1, 2]}, r"^4 arrays, but 3 labels"),
        ({"names": ["a"]}, r"^4 arrays, but 1 names"),
        ({"labels": [0, 1, 2, 0.5]}, r"^labels\[3\] is 0.5, no whole number"),
        ({"labels": [0, 1, 2, True]}, r"^labels\[3\] is True, no whole number; number the classes"),
        ({"labels": [0, 1, 2, -2]}, r"^arrays\[3\]: clip 'clip3' has label -2"),
        ({"labels": [0, -1, 2, 0]}, r"^arrays\[1\]: clip 'clip1' has no label, but is in a split"),
        ({"classes": ["x", "y"]}, r"^classes names 2 classes, but there is a label 2; name all"),
        ({"classes": ["x", "y", "x"]}, r"^two classes, 0 and 2, have the name 'x'"),
        ({"labels": [0, 1, 2, 10**9]}, r"^labels\[3\] is 1000000000; class numbers"),
        ({"labels": [0, 1, 2, [0, 1]]}, r"^labels\[3\] is \[0, 1\]: several labels .*not supp"),
        ({"labels": np.eye(4, dtype=int)}, r"^labels\[0\] is \[1, 0, 0, 0\]: several labels"),
        ({"names": ["a", "b", "c", "a"]}, r"clip name 'a' occurs twice"),
        ({"splits": {"train": [4]}}, r"^split 'train' has clip number 4, but there are 4 arrays"),
        ({"splits": {"train": [-1]}}, r"^split 'train' has clip number -1"),
        ({"splits": {"train": ["z"]}}, r"split 'train' names 1 clips that are not in .*'z'"),
        ({"splits": {"train": [0.5]}}, r"^a clip of split 'train' is 0.5, no whole number"),
        ({"image_sizes": [(9, 9)] * 3 + [(0, 1)]}, r"^arrays\[3\] has image_sizes \(0, 1\)"),
        ({"image_sizes": [(9, 9)] * 3 + [5]}, r"^arrays\[3\] has image_sizes 5"),
        ({"scores": [None] * 3}, r"^4 arrays, but 3 scores"),
        ({"names": ["a", "b", "c", 7]}, r"^names\[3\] is 7, no text"),
        ({"classes": ["x", 1, "z"]}, r"^classes\[1\] is 1, no text"),
        ({"splits": {1: [0]}}, r"^the name of a split is 1, no text"),
        ({"arrays": [], "labels": [], "splits": None}, r"there is no clip in it"),
    ],
)
def test_wrong_arguments(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    if "image_sizes" in changes:
        changes = {**changes, "arrays": [4 + abs(array) / 4 for array in clips()]}
    with pytest.raises(InputError, match=message):
        make(tmp_path, strict=True, **changes)
    assert list(tmp_path.rglob("*.npy")) == []
