from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data.datapipes.iter import IterableWrapper
from torch_geometric.loader import DataLoader

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import (
    GaussianNoise,
    Interpolate,
    JointDropout,
    PadPersons,
    PreNormalize2D,
    PreNormalize3D,
    RandomMirror,
    RandomRotation,
    RandomScaling,
    RandomSpeed,
    TemporalCorruption,
    TemporalCrop,
    ToStream,
    UniformSample,
    standard_transform,
)

NTU = get_skeleton("ntu25")


def test_training_in_space_is_the_same_as_step_by_step(clips: SimpleNamespace) -> None:
    clip = clips.random(persons=2, frames=40)
    transform = standard_transform(
        NTU,
        stream="joint+bone",
        clip_frames=16,
        train=True,
        has_score=False,
        rotation=0.2,
        scaling=0.1,
        align_spine=False,
        scale=True,
    )
    torch.manual_seed(1)
    output = transform(clip)
    torch.manual_seed(1)
    for step in (
        PreNormalize3D(NTU, align_spine=False, scale=True),
        RandomScaling(0.1),
        RandomRotation(0.2),
        ToStream("joint+bone", NTU),
        UniformSample(16),
    ):
        clip = step(clip)
    assert torch.equal(output.x, clip.x)
    assert output.x.shape == (50, 16, 6)


def test_testing_in_the_plane_is_the_same_as_step_by_step(clips: SimpleNamespace) -> None:
    coco = get_skeleton("coco17")
    clip = clips.flat(frames=40)
    transform = standard_transform(
        coco, stream="bone", clip_frames=16, train=False, num_views=3, has_score=True, num_persons=2
    )
    output = transform(clip)
    for step in (
        PreNormalize2D(),
        ToStream("bone", coco),
        UniformSample(16, num_views=3, train=False),
        PadPersons(2),
    ):
        clip = step(clip)
    assert torch.equal(output.x, clip.x)
    assert output.x.shape == (34, 48, 3)


@pytest.mark.parametrize("train", [True, False])
def test_extra_steps_follow_the_normalisation(clips: SimpleNamespace, train: bool) -> None:
    clip = clips.random(persons=2, frames=40)
    losses = [TemporalCorruption("severe"), JointDropout(0.2)]
    transform = standard_transform(
        NTU, stream="bone-motion", clip_frames=16, train=train, has_score=False, extra=losses
    )
    torch.manual_seed(1)
    output = transform(clip)
    torch.manual_seed(1)
    steps = [PreNormalize3D(NTU), *losses, *([RandomRotation(0.3)] if train else [])]
    for step in (*steps, ToStream("bone-motion", NTU), UniformSample(16, train=train)):
        clip = step(clip)
    assert torch.equal(output.x, clip.x)


def test_dropped_frames_reach_the_model_and_repaired_ones_do_not(clips: SimpleNamespace) -> None:
    clip = clips.random(persons=2, frames=40)

    def empty_frames(*extra) -> int:
        transform = standard_transform(
            NTU, stream="joint", clip_frames=40, train=False, has_score=False, extra=extra
        )
        return int((transform(clip).x == 0).all(dim=2).all(dim=0).sum())

    assert empty_frames() == 0
    assert empty_frames(TemporalCorruption("severe")) == 30
    assert empty_frames(TemporalCorruption("severe"), Interpolate()) == 0


def test_testing_is_not_random(clips: SimpleNamespace) -> None:
    clip = clips.random(frames=40)
    transform = standard_transform(
        NTU, stream="joint", clip_frames=16, train=False, has_score=False, scaling=0.5
    )
    assert torch.equal(transform(clip).x, transform(clip).x)


def test_batches_of_different_persons(clips: SimpleNamespace) -> None:
    transform = standard_transform(
        NTU, stream="joint", clip_frames=8, train=True, num_views=2, has_score=False
    )
    items = [transform(clips.random(persons=m, frames=f)) for m, f in ((1, 5), (2, 30), (1, 12))]
    batch = next(iter(DataLoader(items, batch_size=3)))
    assert batch.x.shape == (100, 16, 3)
    assert batch.num_persons.tolist() == [1, 2, 1]
    assert batch.ptr.tolist() == [0, 25, 75, 100]
    assert batch.num_views.tolist() == [2, 2, 2]
    assert int(batch.edge_index.max()) == 99
    assert batch.name == ["clip_1"] * 3


def test_functional_names(clips: SimpleNamespace) -> None:
    clip = clips.random(frames=30)
    pipe = (
        IterableWrapper([clip])
        .pre_normalize_3d(NTU)
        .random_scaling(0.0)
        .random_rotation(0.0)
        .to_stream("bone", NTU)
        .uniform_sample(10, train=False)
        .pad_persons(2)
    )
    expected = standard_transform(
        NTU, stream="bone", clip_frames=10, train=False, has_score=False, num_persons=2
    )(clip)
    torch.testing.assert_close(next(iter(pipe)).x, expected.x)
    damaged = IterableWrapper([clip]).temporal_corruption(0.5).joint_dropout(0.2)
    assert torch.equal(next(iter(damaged)).x, JointDropout(0.2)(TemporalCorruption(0.5)(clip)).x)
    assert torch.equal(next(iter(damaged.interpolate())).x, Interpolate()(next(iter(damaged))).x)
    changed = IterableWrapper([clip]).random_mirror(NTU).temporal_crop(0.5).random_speed(0.5)
    torch.manual_seed(1)
    found = next(iter(changed.gaussian_noise(0.1))).x
    torch.manual_seed(1)
    for step in (RandomMirror(NTU), TemporalCrop(0.5), RandomSpeed(0.5), GaussianNoise(0.1)):
        clip = step(clip)
    assert torch.equal(found, clip.x)
    flat = clips.flat()
    assert torch.equal(
        next(iter(IterableWrapper([flat]).pre_normalize_2d())).x, PreNormalize2D()(flat).x
    )


def test_mistakes_show_before_the_first_clip() -> None:
    with pytest.raises(InputError, match=r"no such stream \(did you mean 'bone'\?\)"):
        standard_transform(NTU, stream="bones", clip_frames=8, train=True, has_score=False)
    with pytest.raises(InputError, match="clip_frames: 0"):
        standard_transform(NTU, stream="bone", clip_frames=0, train=True, has_score=False)
