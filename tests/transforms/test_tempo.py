from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import RandomSpeed, TemporalCrop, ToStream

NTU = get_skeleton("ntu25")


def numbered(clips: SimpleNamespace, frames: int, persons: int = 2) -> Data:
    """A clip whose coordinates are the frame number, from 1."""
    time = torch.arange(1.0, frames + 1)
    return clips.make(time.view(1, -1, 1, 1).repeat(persons, 1, 25, 3), NTU)


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0.01, 1), st.integers(0, 2**32))
def test_crop_is_a_contiguous_part(
    clips: SimpleNamespace, frames: int, fraction: float, seed: int
) -> None:
    torch.manual_seed(seed)
    x = TemporalCrop(fraction)(numbered(clips, frames)).x
    length = x.size(1)
    assert max(1, round(fraction * frames)) <= length <= frames
    first = float(x[0, 0, 0])
    assert 1 <= first <= frames - length + 1
    assert torch.equal(x, (first + torch.arange(length)).view(1, -1, 1).expand(50, length, 3))


def test_crops_of_all_lengths_and_places(clips: SimpleNamespace) -> None:
    clip = numbered(clips, 6)
    seen = set()
    for _ in range(300):
        x = TemporalCrop(0.5)(clip).x
        seen.add((x.size(1), int(x[0, 0, 0])))
    assert seen == {(n, start) for n in range(3, 7) for start in range(1, 8 - n)}


@settings(deadline=None)
@given(st.integers(1, 60), st.floats(0, 0.9), st.integers(0, 2**32))
def test_linear_motion_stays_linear(
    clips: SimpleNamespace, frames: int, change: float, seed: int
) -> None:
    torch.manual_seed(seed)
    x = RandomSpeed(change)(numbered(clips, frames)).x
    length = x.size(1)
    assert max(1, round(frames / (1 + change))) <= length <= round(frames / (1 - change))
    expected = torch.linspace(1, frames, length).view(1, -1, 1).expand(50, length, 3)
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)


def test_speeds_cover_their_range(clips: SimpleNamespace) -> None:
    clip = numbered(clips, 60, persons=1)
    lengths = [RandomSpeed(0.5)(clip).x.size(1) for _ in range(300)]
    assert 40 <= min(lengths) <= 41
    assert 115 <= max(lengths) <= 120
    assert torch.equal(RandomSpeed(0.0)(clip).x, clip.x)


def test_missing_joints_are_not_mixed_in(clips: SimpleNamespace) -> None:
    clip = clips.make(torch.full((2, 30, 25, 3), 7.0), NTU)
    missing = torch.rand(50, 30) < 0.3
    clip.x[missing] = 0
    lengths = set()
    for _ in range(20):
        x = RandomSpeed(0.5)(clip).x
        gone = (x == 0).all(dim=-1)
        assert torch.equal(x, 7.0 * ~gone.unsqueeze(-1).expand_as(x))
        assert 0.2 < gone.float().mean() < 0.4
        lengths.add(x.size(1))
    assert len(lengths) > 5


def test_dropped_frames_stay_dropped(clips: SimpleNamespace) -> None:
    clip = numbered(clips, 30)
    clip.x[:, 10:20] = 0
    for _ in range(20):
        x = RandomSpeed(0.3)(clip).x
        frames = torch.linspace(0, 29, x.size(1), dtype=torch.double).round()
        assert torch.equal((x == 0).all(dim=-1), ((frames >= 10) & (frames < 20)).expand(50, -1))


@pytest.mark.parametrize("transform", [TemporalCrop(0.5), RandomSpeed(0.5)])
def test_seeding_torch_repeats_the_draw(clips: SimpleNamespace, transform) -> None:
    clip = clips.random(frames=50)
    before = clip.x.clone()
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(transform(clip).x)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert torch.equal(clip.x, before)


@pytest.mark.parametrize("transform", [TemporalCrop(0.5), RandomSpeed(0.5)])
def test_clip_without_frames(clips: SimpleNamespace, transform) -> None:
    assert transform(numbered(clips, 0)).x.shape == (50, 0, 3)


def test_mistakes(clips: SimpleNamespace) -> None:
    for fraction in (0.0, 1.1, float("nan")):
        with pytest.raises(InputError, match=r"min_fraction: .* give more than 0, up to 1"):
            TemporalCrop(fraction)
    for change in (-0.1, 1.0):
        with pytest.raises(InputError, match=r"max_change: .* give 0 to below 1"):
            RandomSpeed(change)
    with pytest.raises(InputError, match=r"clip_1: 6 channels .* before ToStream"):
        RandomSpeed(0.1)(ToStream("joint+bone", NTU)(clips.random()))
