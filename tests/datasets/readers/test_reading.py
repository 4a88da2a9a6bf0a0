from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets.readers.reading import ClipSource, check_clip, find_benchmarks
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

SHAPE = (2, 4, 20, 3)


def check(keypoint: Any, label: int = 0, **options: Any) -> np.ndarray:
    source = ClipSource(get_skeleton("kinect20"), ["x", "y"], {}, [], **options)
    return check_clip(Clip("c", label, keypoint), source).keypoint


def test_a_good_clip_is_unchanged() -> None:
    keypoint = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    assert np.array_equal(check(keypoint), keypoint)


def test_only_persons_that_are_zero_in_all_frames_are_dropped() -> None:
    keypoint = np.zeros((4, *SHAPE[1:]), np.float32)
    keypoint[1] = 1
    keypoint[3, 2, 7, 1] = 5
    assert np.array_equal(check(keypoint), keypoint[[1, 3]])


def test_a_score_makes_no_person() -> None:
    keypoint = np.ones(SHAPE, np.float32)
    keypoint[0, ..., :2] = 0
    assert len(check(keypoint, has_score=True)) == 1
    assert len(check(keypoint)) == 2


@pytest.mark.parametrize(
    ("keypoint", "message"),
    [
        (np.ones((4, 20, 3)), r"shape \(4, 20, 3\)"),
        (
            np.ones((1, 4, 25, 3)),
            r"25 joints, the skeleton 'kinect20' has 20; .*--skeleton FILE.json",
        ),
        (np.ones((1, 0, 20, 3)), r"empty: 1 persons, 0 frames"),
        (np.ones((0, 4, 20, 3)), r"empty: 0 persons, 4 frames"),
        (np.zeros(SHAPE), r"empty: 2 persons, 4 frames, no joint that is not zero; remove"),
        (np.ones(SHAPE, complex), r"complex"),
        (np.full(SHAPE, 1e300), r"160 joints that are NaN or infinite"),
    ],
)
def test_bad_keypoints(keypoint: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=rf"clip 'c' .*{message}"):
        check(keypoint)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_bad_joint_is_named(value: float) -> None:
    keypoint = np.ones(SHAPE)
    keypoint[1, 2, 13, 0] = keypoint[1, 3, 4, 1:] = value
    with pytest.raises(InputError, match=r"2 joints .* first at frame 2, joint 13, person 1; set"):
        check(keypoint)


@pytest.mark.parametrize("label", [-2, 2])
def test_a_label_is_the_number_of_a_class(label: int) -> None:
    with pytest.raises(InputError, match=rf"label {label}, but there are 2 classes"):
        check(np.ones(SHAPE), label)


@pytest.mark.parametrize("split", ["train", "x_val", "validation", "train1"])
def test_only_clips_outside_training_and_validation_may_lack_a_label(split: str) -> None:
    source = ClipSource(get_skeleton("kinect20"), ["x", "y"], {split: ["c"], "test": ["d"]}, [])
    unlabelled = Clip("c", -1, np.ones(SHAPE))
    with pytest.raises(InputError, match="clip 'c' has no label, but is in a split for training"):
        check_clip(unlabelled, source)
    for name in "de":
        assert check_clip(replace(unlabelled, name=name), source).label == -1


def test_half_precision_overflow_is_noticed() -> None:
    with pytest.raises(InputError, match="infinite"):
        check(np.full(SHAPE, 1e5), dtype="float16")


def test_parts_of_benchmarks() -> None:
    splits = ["xsub_train", "xsub_val", "train", "test", "validation", "train1", "test1", "other"]
    assert find_benchmarks(splits) == {
        "xsub": {"train": "xsub_train", "val": "xsub_val"},
        "default": {"train": "train", "val": "validation", "test": "test"},
        "1": {"train": "train1", "val": "test1"},
    }
    assert find_benchmarks(["training", "valid", "x"]) == {}


def test_a_test_split_is_not_in_the_place_of_another() -> None:
    assert find_benchmarks(["x_test", "x_train"]) == {"x": {"train": "x_train", "val": "x_test"}}
    three = {"train": "x_train", "val": "x_val", "test": "x_test"}
    assert find_benchmarks(["x_test", "x_val", "x_train"]) == {"x": three}
    # Nothing could be trained on a benchmark "1".
    splits = ["train", "val", "test", "test1", "testA"]
    assert find_benchmarks(splits) == {"default": {"train": "train", "val": "val", "test": "test"}}
    assert find_benchmarks(["test", "test2"]) == {"default": {"val": "test"}, "2": {"val": "test2"}}
