from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import MODES, Interpolate, TemporalCorruption, ToStream

NTU = get_skeleton("ntu25")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.floats(0, 1), st.booleans(), st.integers(0, 2**32))
def test_equals_interpolation_by_numpy(
    clips: SimpleNamespace, frames: int, fraction: float, flat: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    clip = clips.flat(frames) if flat else clips.random(persons=2, frames=frames)
    clip.x[torch.rand(clip.x.shape[:2]) < fraction] = 0
    before = clip.x.clone()
    x = Interpolate()(clip).x
    assert torch.equal(clip.x, before)
    for node, (found, given_) in enumerate(zip(x.numpy(), before.numpy(), strict=True)):
        present = np.flatnonzero(given_.any(axis=1))
        if not len(present):
            assert not x[node].any()
            continue
        for channel in range(3):
            expected = np.interp(np.arange(frames), present, given_[present, channel])
            np.testing.assert_allclose(found[:, channel], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found[present], given_[present])


@pytest.mark.parametrize("mode", ["random", "block", "periodic"])
def test_linear_motion_is_restored(clips: SimpleNamespace, mode: str) -> None:
    start, velocity = torch.randn(2, 2, 1, 25, 3).add(0.1)
    clip = clips.make(start + velocity * torch.arange(40).view(1, -1, 1, 1), NTU)
    # The first and the last frame are there, so that all others lie between two.
    damaged = TemporalCorruption(0.6, mode)(clip)
    damaged.x = torch.cat([clip.x[:, :1], damaged.x[:, 1:-1], clip.x[:, -1:]], dim=1)
    assert not torch.equal(damaged.x, clip.x)
    torch.testing.assert_close(Interpolate()(damaged).x, clip.x, rtol=1e-5, atol=1e-4)


def test_persons_and_joints_are_filled_each_for_itself(clips: SimpleNamespace) -> None:
    clip = clips.make(torch.ones(2, 6, 25, 3), NTU)
    joints = clip.x.view(2, 25, 6, 3)
    joints *= torch.arange(1.0, 7.0).view(6, 1)
    joints[0, :, 1] = 0
    joints[1, :, :3] = 0
    joints[1, :, 5] = 0
    joints[1, 7, 4] = 0
    joints[0, 3] = 0
    x = Interpolate()(clip).x.view(2, 25, 6, 3)
    assert x[0, 0, :, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert x[1, 0, :, 0].tolist() == [4, 4, 4, 4, 5, 5]
    assert x[1, 7, :, 0].tolist() == [4] * 6
    assert not x[0, 3].any()


def test_scores_of_joints_that_never_appear_are_kept(clips: SimpleNamespace) -> None:
    clip = clips.flat()
    clip.x[4, :, :2] = 0
    clip.x[5, 2] = 0
    x = Interpolate()(clip).x
    assert torch.equal(x[4], clip.x[4])
    torch.testing.assert_close(x[5, 2], (clip.x[5, 1] + clip.x[5, 3]) / 2)


@pytest.mark.parametrize("mode", MODES)
def test_whole_clips_and_empty_ones_are_left_alone(clips: SimpleNamespace, mode: str) -> None:
    clip = clips.random(persons=2, frames=9)
    assert torch.equal(Interpolate()(clip).x, clip.x)
    for frames in (0, 1, 5):
        empty = clips.make(torch.zeros(2, frames, 25, 3), NTU)
        assert torch.equal(Interpolate()(empty).x, empty.x)
    present = Interpolate()(TemporalCorruption(0.9, mode)(clip)).x
    assert torch.equal(present, present[:, :1].expand_as(present))


def test_streams_are_not_joints(clips: SimpleNamespace) -> None:
    with pytest.raises(InputError, match=r"clip_1: 6 channels .* before ToStream"):
        Interpolate()(ToStream("joint+bone", NTU)(clips.random()))
