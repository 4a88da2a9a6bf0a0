from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton, get_skeleton

SPLITS = {"train": ["a"], "val": ["b"], "test": ["c"], "testA": ["d"], "test1": ["c", "d"]}


@pytest.mark.parametrize(
    ("split", "names"),
    [*SPLITS.items(), ("all", ["a", "b", "c", "d"])],
)
def test_every_split_can_be_read(
    make_pickle: Callable[..., Path], split: str, names: list[str]
) -> None:
    dataset = SkeletonPickle(make_pickle(split=SPLITS), split=split)
    assert dataset.names == names
    assert dataset.benchmarks == ("default",)
    assert dataset.split_sizes("default") == {"train": 1, "val": 1, "test": 1}
    assert dataset.splits == {name: len(clips) for name, clips in SPLITS.items()}


def test_test_clips_that_serve_for_validation_are_the_test_clips(
    make_pickle: Callable[..., Path],
) -> None:
    path = make_pickle(split={"x_train": ["a"], "x_test": ["b"]})
    assert SkeletonPickle(path, split="test").names == SkeletonPickle(path, split="val").names
    path = make_pickle(split={"x_train": ["a"], "latest_val": ["b"]})
    with pytest.raises(InputError, match=r"split 'test' does not exist; choose one of train, "):
        SkeletonPickle(path, split="test")


def test_clips_outside_training_and_validation_need_no_label(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any]
) -> None:
    labels = [1, 0, -1, 0]
    annotations = [make_annotation(*pair) for pair in zip("abcd", labels, strict=True)]
    del annotations[3]["label"]
    splits = {"train": ["a"], "val": ["b"], "test": ["c"]}
    path = make_pickle(annotations=annotations, split=splits)
    dataset = SkeletonPickle(path, split="all")
    assert dataset.labels.tolist() == [1, 0, -1, -1]
    assert [int(data.y) for data in dataset] == [1, 0, -1, -1]
    assert dataset.num_classes == 2
    splits = {"train": ["a"], "val": ["b", "c"]}
    path = make_pickle(name="wrong.pkl", annotations=annotations, split=splits)
    with pytest.raises(InputError, match=r"clip 'c' has no label, but is in a split for training"):
        SkeletonPickle(path, strict=True)


def test_labels_by_another_list_of_classes(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any]
) -> None:
    labels = [0, 1, 2, -1]
    annotations = [make_annotation(*pair) for pair in zip("abcd", labels, strict=True)]
    dataset = SkeletonPickle(make_pickle(annotations), split="all")
    other = dataset.relabelled(["z", "x", "w", "y"], [1, 3, 0])
    assert other.labels.tolist() == [int(data.y) for data in other] == [1, 3, 0, -1]
    again = other.copy([2, 3, 0]).relabelled(["a", "b", "c", "d"], [3, 2, 1, 0])
    assert again.labels.tolist() == [int(data.y) for data in again] == [3, -1, 2]
    assert again.classes == ["a", "b", "c", "d"]
    assert dataset.labels.tolist() == labels


def test_a_skeleton_for_files_that_do_not_say_theirs(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any]
) -> None:
    chain = Skeleton.from_dict(
        {"name": "chain", "joints": ["a", "b", "c"], "bones": [[1, 0], [2, 1]], "center": 1}
    )
    path = make_pickle([make_annotation("a", shape=(1, 6, 3, 3))])
    options: dict[str, Any] = {"split": "all", "default_skeleton": chain}
    assert SkeletonPickle(path, **options).skeleton == chain
    guessed = make_pickle([make_annotation("a")], "ntu.pkl")
    assert SkeletonPickle(guessed, **options).skeleton == get_skeleton("ntu25")
    other = make_pickle([make_annotation("a", shape=(1, 6, 4, 3))], "four.pkl")
    with pytest.raises(InputError, match="which one has 4 joints"):
        SkeletonPickle(other, **options)
