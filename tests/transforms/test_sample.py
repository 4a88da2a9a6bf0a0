from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import UniformSample
from pyg_stgcn.transforms.sample import sample_test_frames, sample_train_frames

RECORDINGS = ("S001C001P001R001A001", "S001C001P001R001A005", "S001C001P001R001A050")


def numbered_clip(clips: SimpleNamespace, frames: int):
    """A clip whose coordinates are the frame number."""
    keypoint = torch.arange(frames).view(1, -1, 1, 1).expand(1, -1, 25, 3).float()
    return clips.make(keypoint, get_skeleton("ntu25"))


@pytest.mark.parametrize("name", RECORDINGS)
def test_test_frames_of_recordings_equal_golden(
    shared_data: Path, clips: SimpleNamespace, name: str
) -> None:
    clip, golden = clips.recording(shared_data, name)
    frames = torch.from_numpy(golden["uniform_sample/frame_inds_test_clip100_x10_seed255"])
    output = UniformSample(100, num_views=10, train=False)(clip)
    assert torch.equal(output.x, clip.x[:, frames])
    assert output.num_views == 10


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (7, [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5]),
        (15, [0, 2, 4, 6, 8, 9, 10, 11, 12, 13, 1, 2, 4, 6, 7, 9, 11, 12, 13, 14]),
        (45, [3, 5, 11, 13, 19, 23, 29, 35, 37, 40, 2, 5, 9, 17, 19, 22, 29, 33, 38, 40]),
    ],
)
def test_published_examples(num_frames: int, expected: list[int]) -> None:
    assert sample_test_frames(num_frames, 10, 2).tolist() == expected


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 120), st.integers(1, 12))
def test_test_frames_are_in_range_and_ordered(
    num_frames: int, clip_frames: int, num_views: int
) -> None:
    frames = sample_test_frames(num_frames, clip_frames, num_views).view(num_views, clip_frames)
    assert frames.min() >= 0
    assert frames.max() < num_frames
    if num_frames >= clip_frames:
        assert (frames.diff(dim=1) > 0).all()
    else:
        assert (frames.diff(dim=1) % num_frames == 1 % num_frames).all()


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 120), st.integers(0, 2**32))
def test_train_frames_are_spread_evenly(num_frames: int, clip_frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    frames = sample_train_frames(num_frames, clip_frames)
    assert frames.shape == (clip_frames,)
    assert frames.min() >= 0
    assert frames.max() < num_frames
    if num_frames < clip_frames:
        assert (frames.diff() % num_frames == 1 % num_frames).all()
    elif num_frames < 2 * clip_frames:
        assert set(frames.diff().tolist()) <= set(range(1, num_frames - clip_frames + 2))
        assert (frames.diff() > 0).all()
    else:
        pieces = torch.arange(clip_frames + 1) * num_frames // clip_frames
        assert (frames >= pieces[:-1]).all()
        assert (frames < pieces[1:]).all()


@pytest.mark.parametrize("num_frames", [5, 14, 30])
def test_every_frame_is_drawn_in_training(num_frames: int) -> None:
    drawn = torch.cat([sample_train_frames(num_frames, 10) for _ in range(200)])
    assert drawn.unique().tolist() == list(range(num_frames))


def test_every_frame_can_be_the_one_that_is_skipped() -> None:
    everything = set(range(11))
    skipped = [everything - set(sample_train_frames(11, 10).tolist()) for _ in range(300)]
    assert all(len(frames) == 1 for frames in skipped)
    assert set().union(*skipped) == everything


def test_training_follows_the_seed_of_torch_alone(clips: SimpleNamespace) -> None:
    clip = numbered_clip(clips, 80)
    transform = UniformSample(20, num_views=3)

    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return transform(clip).x

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert draw(0).shape == (25, 60, 3)
    assert not torch.equal(draw(0)[:, :20], draw(0)[:, 20:40])


def test_testing_leaves_the_generator_of_torch_alone(clips: SimpleNamespace) -> None:
    clip = numbered_clip(clips, 80)
    state = torch.get_rng_state()
    first = UniformSample(20, train=False)(clip).x
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, UniformSample(20, train=False)(clip).x)
    assert not torch.equal(first, UniformSample(20, train=False, seed=1)(clip).x)


def test_mistakes(clips: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="clip_frames: 0 is too few"):
        UniformSample(0)
    with pytest.raises(InputError, match="num_views: -1 is too few"):
        UniformSample(8, num_views=-1)
    with pytest.raises(InputError, match="clip_1: the clip has no frames"):
        UniformSample(8)(numbered_clip(clips, 0))
