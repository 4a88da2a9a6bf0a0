from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import MODES, SEVERITIES, JointDropout, TemporalCorruption

NTU = get_skeleton("ntu25")


def ones(clips: SimpleNamespace, persons: int = 1, frames: int = 40, name: str = "clip_1") -> Data:
    clip = clips.make(torch.ones(persons, frames, 25, 3), NTU)
    clip.name = name
    return clip


def dropped(clip: Data) -> list[int]:
    """The empty frames; all others are whole."""
    empty = (clip.x == 0).all(dim=2).all(dim=0)
    assert clip.x[:, ~empty].all()
    return empty.nonzero().flatten().tolist()


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0, 0.999), st.sampled_from(MODES), st.none() | st.integers(0))
def test_exactly_the_fraction_is_dropped_but_never_all(
    clips: SimpleNamespace, frames: int, ratio: float, mode: str, seed: int | None
) -> None:
    clip = ones(clips, persons=2, frames=frames)
    output = TemporalCorruption(ratio, mode, seed)(clip)
    assert output.x.shape == (50, frames, 3)
    assert len(dropped(output)) == min(round(ratio * frames), frames - 1)
    assert clip.x.all()


@pytest.mark.parametrize("seed", [0, 1, None])
def test_patterns(clips: SimpleNamespace, seed: int | None) -> None:
    def frames(mode: str, ratio: float) -> list[int]:
        return dropped(TemporalCorruption(ratio, mode, seed)(ones(clips)))

    assert frames("prefix", 0.3) == list(range(12))
    assert frames("suffix", 0.3) == list(range(28, 40))
    block = frames("block", 0.3)
    assert block == list(range(block[0], block[0] + 12))
    for ratio in (0.1, 0.3, 0.75):
        periodic = torch.tensor(frames("periodic", ratio))
        gaps = torch.cat([periodic.diff(), periodic[:1] + 40 - periodic[-1:]])
        assert gaps.max() - gaps.min() <= 1
    assert frames("random", 0.3) not in (frames("prefix", 0.3), block)


@pytest.mark.parametrize("mode", ["random", "block", "periodic"])
def test_every_frame_can_be_dropped_and_kept(clips: SimpleNamespace, mode: str) -> None:
    transform = TemporalCorruption(0.25, mode)
    counts = torch.zeros(8)
    for number in range(200):
        counts[dropped(transform(ones(clips, frames=8, name=f"clip_{number}")))] += 1
    assert counts.sum() == 400
    assert counts.min() > 10 and counts.max() < 120


def test_clips_and_seeds_differ_and_a_higher_fraction_drops_more(clips: SimpleNamespace) -> None:
    first = dropped(TemporalCorruption(0.5)(ones(clips)))
    assert first == dropped(TemporalCorruption(0.5)(ones(clips, persons=2)))
    assert first != dropped(TemporalCorruption(0.5, seed=1)(ones(clips)))
    assert first != dropped(TemporalCorruption(0.5)(ones(clips, name="clip_2")))
    assert set(first) < set(dropped(TemporalCorruption(0.75)(ones(clips))))


def test_other_processes_lose_the_same(clips: SimpleNamespace) -> None:
    code = (
        "import torch; from torch_geometric.data import Data\n"
        "from pyg_stgcn.transforms import JointDropout, TemporalCorruption\n"
        "torch.rand(1); clip = Data(x=torch.ones(50, 40, 3), num_persons=2, name='clip_1')\n"
        "print((TemporalCorruption(0.5)(clip).x[0, :, 0] == 0).nonzero().flatten().tolist())\n"
        "print((JointDropout(0.3)(clip).x[:, 0, 0] == 0).nonzero().flatten().tolist())"
    )
    clip = ones(clips, persons=2)
    frames = dropped(TemporalCorruption(0.5)(clip))
    joints = (JointDropout(0.3)(clip).x[:, 0, 0] == 0).nonzero().flatten().tolist()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(frames), str(joints)]


@pytest.mark.parametrize("kind", [TemporalCorruption, JointDropout])
def test_training_follows_the_seed_of_torch_alone(clips: SimpleNamespace, kind: type) -> None:
    clip = ones(clips)

    def draw(torch_seed: int, seed: int | None) -> torch.Tensor:
        torch.manual_seed(torch_seed)
        return kind(0.5, seed=seed)(clip).x

    assert torch.equal(draw(0, None), draw(0, None))
    assert not torch.equal(draw(0, None), draw(1, None))
    assert torch.equal(draw(0, 0), draw(1, 0))
    state = torch.get_rng_state()
    kind(0.5)(clip)
    assert torch.equal(torch.get_rng_state(), state)


def test_scores_are_dropped_too(clips: SimpleNamespace) -> None:
    clip = clips.flat()
    for transform in (TemporalCorruption("moderate"), JointDropout(0.5)):
        x = transform(clip).x
        empty = (x[..., :2] == 0).all(dim=-1)
        assert empty.any() and not x[empty].any()
        assert torch.equal(x[~empty], clip.x[~empty])


def test_severities() -> None:
    assert TemporalCorruption().ratio == TemporalCorruption("severe").ratio == 0.75
    for name, ratio in SEVERITIES.items():
        assert TemporalCorruption(name).ratio == TemporalCorruption(ratio).ratio == ratio
    assert list(SEVERITIES.values()) == sorted(SEVERITIES.values())


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 9), st.floats(0, 0.999), st.none() | st.integers(0))
def test_each_person_loses_joints_in_all_frames(
    clips: SimpleNamespace, persons: int, frames: int, ratio: float, seed: int | None
) -> None:
    clip = ones(clips, persons, frames)
    x = JointDropout(ratio, seed)(clip).x
    assert clip.x.all()
    assert torch.equal(x, x[:, :1, :1].expand_as(x))
    missing = (x[:, 0, 0] == 0).view(persons, 25).sum(dim=1)
    low, high = (min(int(limit), 24) for limit in (ratio * 25, math.ceil(ratio * 25)))
    assert all(low <= dropped <= high for dropped in missing.tolist())


@pytest.mark.parametrize(("ratio", "seed"), [(0.01, 0), (0.01, None), (0.1, 0)])
def test_the_fraction_of_joints_is_right_on_average(
    clips: SimpleNamespace, ratio: float, seed: int | None
) -> None:
    transform = JointDropout(ratio, seed)
    x = torch.stack([transform(ones(clips, 2, 1, f"clip_{i}")).x[:, 0, 0] for i in range(500)])
    dropped = (x == 0).double()
    # Of 1000 persons; only what is rounded differs between them.
    error = (25 * ratio % 1 * (1 - 25 * ratio % 1) / 1000) ** 0.5 / 25
    assert float(dropped.mean()) == pytest.approx(ratio, abs=4 * error + 1e-12)
    # All joints take their turn.
    assert (dropped.view(-1, 25).mean(dim=0) > ratio / 4).all()


def test_a_higher_fraction_of_joints_drops_the_same_and_more(clips: SimpleNamespace) -> None:
    clip = ones(clips, persons=2)
    dropped = [(JointDropout(ratio)(clip.clone()).x == 0) for ratio in torch.arange(0, 1, 0.03)]
    for less, more in itertools.pairwise(dropped):
        assert not (less & ~more).any()


def test_persons_lose_different_joints(clips: SimpleNamespace) -> None:
    x = JointDropout(0.4)(ones(clips, persons=2)).x.view(2, 25, -1)
    assert not torch.equal(x[0], x[1])


def test_clips_of_no_frames_and_of_one(clips: SimpleNamespace) -> None:
    for mode in MODES:
        for frames in (0, 1):
            clip = ones(clips, frames=frames)
            assert torch.equal(TemporalCorruption(0.9, mode)(clip).x, clip.x)


def test_mistakes(clips: SimpleNamespace) -> None:
    for severity in ("major", 1.0, -0.1, float("nan"), "1"):
        with pytest.raises(InputError, match=r"minor, moderate, severe, or give the fraction"):
            TemporalCorruption(severity)
    with pytest.raises(InputError, match=r"mode 'blocks': .* choose one of random, block,"):
        TemporalCorruption(0.5, "blocks")
    with pytest.raises(InputError, match="ratio: 1 of the joints"):
        JointDropout(1.0)
    clip = ones(clips, persons=2)
    clip.num_persons = 3
    with pytest.raises(InputError, match="clip_1: 50 nodes cannot belong to 3 persons"):
        JointDropout(0.5)(clip)
