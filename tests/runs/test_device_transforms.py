"""Loaders of stored clips, whose transforms run on whole batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch

from pyg_stgcn.datasets import SkeletonDataset, SkeletonPickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.batches import batch_transform, clip_transform, input_batch, make_loader
from pyg_stgcn.runs.options import TrainOptions

AUGMENT = {"crop": 0.8, "speed": 0.2, "noise": 0.01, "joint-dropout": 0.2}


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    options = TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path_factory.mktemp("data")),
        clip_frames=16,
        stream="joint+bone-motion",
        augment=AUGMENT,
        device_transforms=True,
    )
    return options.with_recipe(36, None)


@pytest.fixture(scope="module")
def dataset(config: TrainOptions) -> SkeletonDataset:
    dataset = SkeletonPickle(config.data.dataset, root=config.data.root)
    dataset.transform = clip_transform(config, dataset, train=True, num_views=1)
    return dataset


def batches(
    dataset: SkeletonDataset, config: TrainOptions, epoch: int = 1, **options
) -> list[Batch]:
    transform = batch_transform(config, dataset)
    loader = make_loader(dataset, 10, 5, shuffle=True, transform=transform, **options)
    loader.sampler.set_epoch(epoch)
    return [input_batch(batch, transform, "cpu") for batch in loader]


@pytest.mark.parametrize("balanced", [False, True])
def test_batches_equal_those_of_single_clips(
    dataset: SkeletonDataset, config: TrainOptions, balanced: bool
) -> None:
    found = batches(dataset, config, balanced=balanced)
    expected = batches(dataset, config.replace(device_transforms=False), balanced=balanced)
    assert len(found) == len(expected) == 4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.x, other.x, rtol=1e-5, atol=1e-5)
        assert torch.equal(one.y, other.y) and torch.equal(one.batch, other.batch)
        assert one.num_graphs == other.num_graphs


def test_batches_do_not_depend_on_the_workers(
    dataset: SkeletonDataset, config: TrainOptions
) -> None:
    alone, again = batches(dataset, config), batches(dataset, config, num_workers=1)
    assert all(torch.equal(one.x, other.x) for one, other in zip(alone, again, strict=True))
    other_epoch = batches(dataset, config, epoch=2)
    assert not torch.equal(alone[0].x, other_epoch[0].x)


def test_a_clip_does_not_depend_on_the_others_of_its_batch(
    dataset: SkeletonDataset, config: TrainOptions
) -> None:
    whole = batches(dataset, config)
    even, odd = (batches(dataset, config, rank=rank, world_size=2) for rank in (0, 1))
    divided = {float(clip.sum()): clip for part in (even, odd) for clip in _clips(part)}
    assert len(divided) == 36
    assert {float(clip.sum()) for clip in _clips(whole)} == set(divided)


def _clips(found: list[Batch]) -> list[torch.Tensor]:
    return [batch.x[batch.batch == number] for batch in found for number in range(len(batch.y))]


def test_persons_as_clips_of_their_own(config: TrainOptions) -> None:
    dataset = SkeletonPickle(config.data.dataset, root=config.data.root, per_person=True)
    dataset = dataset.relabelled(["c", "b", "a"], [2, 1, 0])
    dataset.transform = clip_transform(config, dataset, train=False, num_views=2)
    found, expected = (
        torch.cat([batch.x for batch in batches(dataset, options)])
        for options in (config, config.replace(device_transforms=False))
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert [clip.y for clip in dataset] == [dataset.clip(n).label for n in range(len(dataset))]


def test_windows_of_a_stream_are_refused(config: TrainOptions) -> None:
    with pytest.raises(InputError, match="device_transforms: context='stream' adds frames of"):
        config.replace(context="stream")
