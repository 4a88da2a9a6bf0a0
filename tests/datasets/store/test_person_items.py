"""Persons of a clip as items of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pyg_stgcn.datasets import SkeletonArrays, SkeletonPickle
from pyg_stgcn.datasets.store.dividing import divide_by_class
from pyg_stgcn.runs.batches import split_held_out
from pyg_stgcn.runs.opening import open_dataset
from pyg_stgcn.runs.options import TrainOptions


@pytest.fixture(scope="module")
def whole(tiny_pickle: Path) -> SkeletonPickle:
    return SkeletonPickle(tiny_pickle)


@pytest.fixture(scope="module")
def persons(tiny_pickle: Path) -> SkeletonPickle:
    return SkeletonPickle(tiny_pickle, per_person=True)


def test_items_are_the_persons_of_the_clips(whole: SkeletonPickle, persons: SkeletonPickle) -> None:
    assert len(persons) == whole.num_persons.sum() > len(whole)
    items = iter(range(len(persons)))
    for clip in whole:
        parts = clip.x.chunk(clip.num_persons), clip.present.chunk(clip.num_persons)
        for person, (x, present) in enumerate(zip(*parts, strict=True)):
            item = persons[next(items)]
            assert torch.equal(item.x, x) and torch.equal(item.present, present)
            assert item.name == f"{clip.name}#{person}" and item.num_persons == 1
            assert torch.equal(item.y, clip.y)
            assert item.edge_index.max() < 5
    assert next(items, None) is None


def test_metadata_are_those_of_the_items(persons: SkeletonPickle) -> None:
    part = persons.copy(range(3, 20))
    assert part.names == [item.name for item in part]
    assert len(set(persons.names)) == len(persons)
    assert part.labels.tolist() == [int(item.y) for item in part]
    assert part.num_frames.tolist() == [item.x.size(1) for item in part]
    assert part.num_persons.tolist() == [1] * 17


def test_a_person_is_an_item_as_long_as_they_are_seen(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(1, 9, (2, 6, 17, 2)).astype(np.float32)
    joints[1, :2], joints[1, 3], joints[1, 5] = 0, 0, 0
    dataset = SkeletonArrays(
        tmp_path, [joints], [0], "coco17", image_sizes=[(10, 10)], per_person=True
    )
    whole, part = dataset
    assert torch.equal(whole.x[..., :2].transpose(0, 1), torch.from_numpy(joints[0]))
    assert torch.equal(part.x[..., :2].transpose(0, 1), torch.from_numpy(joints[1, 2:5]))
    assert dataset.num_frames.tolist() == [6, 3]


def test_persons_of_a_clip_are_never_divided(persons: SkeletonPickle) -> None:
    for kept, held in (divide_by_class(persons, 0.3), split_held_out(persons, 0.3)):
        one, other = ({name.split("#")[0] for name in part.names} for part in (kept, held))
        assert one and other and not one & other
        assert sorted(kept.names + held.names) == sorted(persons.names)


def test_held_out_clips_without_persons_are_those_of_before(whole: SkeletonPickle) -> None:
    from sklearn.model_selection import train_test_split

    _, expected = train_test_split(
        np.arange(36), test_size=0.25, stratify=whole.labels, random_state=0
    )
    _, held = split_held_out(whole, 0.25)
    assert held.names == [whole.names[i] for i in sorted(expected)]


def test_the_options_of_a_run_reach_training_and_validation(tiny_pickle: Path) -> None:
    config = TrainOptions.of(dataset=str(tiny_pickle), per_person=True)
    for split in ("train", "val"):
        assert open_dataset(config, split).names[0].endswith("#0")
