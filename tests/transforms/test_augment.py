from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton, list_skeletons
from pyg_stgcn.transforms import (
    GaussianNoise,
    RandomMirror,
    RandomRotation,
    RandomScaling,
    ToStream,
)
from pyg_stgcn.transforms.augment import rotation_2d, rotation_3d

angles = st.floats(-math.pi, math.pi)


def test_each_angle_turns_clockwise_about_its_axis() -> None:
    x, y, z = torch.eye(3, dtype=torch.double)
    quarter = math.pi / 2
    torch.testing.assert_close(rotation_3d(quarter, 0, 0) @ z, y)
    torch.testing.assert_close(rotation_3d(0, quarter, 0) @ x, z)
    torch.testing.assert_close(rotation_3d(0, 0, quarter) @ y, x)
    torch.testing.assert_close(
        rotation_3d(0.1, 0.2, 0.3),
        rotation_3d(0, 0, 0.3) @ rotation_3d(0, 0.2, 0) @ rotation_3d(0.1, 0, 0),
    )
    torch.testing.assert_close(rotation_2d(quarter) @ x[:2], y[:2])


@settings(deadline=None)
@given(angles, angles, angles)
def test_matrices_are_rotations(x: float, y: float, z: float) -> None:
    for matrix in (rotation_3d(x, y, z), rotation_2d(x)):
        torch.testing.assert_close(matrix @ matrix.t(), torch.eye(len(matrix), dtype=torch.double))
        assert torch.linalg.det(matrix).item() == pytest.approx(1)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, math.pi))
def test_rotation_keeps_bone_lengths(clips: SimpleNamespace, seed: int, theta: float) -> None:
    torch.manual_seed(seed)
    clip = clips.random(persons=2, frames=3)
    source, target = clip.edge_index
    lengths = (clip.x[source] - clip.x[target]).norm(dim=-1)
    x = RandomRotation(theta)(clip).x
    torch.testing.assert_close((x[source] - x[target]).norm(dim=-1), lengths, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(x.norm(dim=-1), clip.x.norm(dim=-1), rtol=1e-4, atol=1e-5)


def test_angles_stay_within_theta(clips: SimpleNamespace) -> None:
    flat = clips.make(torch.tensor([1.0, 0.0]).expand(1, 1, 17, 2), get_skeleton("coco17"))
    angles = []
    for _ in range(300):
        x = RandomRotation(0.3)(flat).x[0, 0]
        angles.append(math.atan2(x[1], x[0]))
    assert -0.3 <= min(angles) < -0.28
    assert 0.28 < max(angles) <= 0.3


def test_scores_are_not_touched(clips: SimpleNamespace) -> None:
    clip = clips.flat()
    for transform in (RandomRotation(1.0), RandomScaling(0.5), GaussianNoise(50.0)):
        x = transform(clip).x
        assert torch.equal(x[..., 2], clip.x[..., 2])
        assert not torch.isclose(x[..., :2], clip.x[..., :2]).any()
    rotated = RandomRotation(1.0)(clip).x
    torch.testing.assert_close(rotated[..., :2].norm(dim=-1), clip.x[..., :2].norm(dim=-1))


def test_one_factor_for_each_axis(clips: SimpleNamespace) -> None:
    clip = clips.random(persons=2)
    factors = []
    for _ in range(200):
        ratio = RandomScaling((0.2, 0.1, 0.0))(clip).x / clip.x
        torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
        factors.append(ratio[0, 0])
    low, high = torch.stack(factors).aminmax(dim=0)
    torch.testing.assert_close(low, torch.tensor([0.8, 0.9, 1.0]), rtol=0, atol=0.01)
    torch.testing.assert_close(high, torch.tensor([1.2, 1.1, 1.0]), rtol=0, atol=0.01)


PAIRED = [name for name in list_skeletons() if get_skeleton(name).pairs]


@pytest.mark.parametrize("name", PAIRED)
def test_mirror_swaps_left_and_right(clips: SimpleNamespace, name: str) -> None:
    skeleton = get_skeleton(name)
    clip = clips.random(persons=2, skeleton=name)
    x = RandomMirror(skeleton, p=1)(clip).x.view(2, skeleton.num_joints, -1, 3)
    joints = clip.x.view_as(x)
    turned = joints * torch.tensor([-1.0, 1.0, 1.0])
    middle = set(range(skeleton.num_joints))
    for left, right in skeleton.pairs:
        assert torch.equal(x[:, left], turned[:, right])
        assert torch.equal(x[:, right], turned[:, left])
        middle -= {left, right}
    assert torch.equal(x[:, list(middle)], turned[:, list(middle)])


@pytest.mark.parametrize("name", PAIRED)
def test_mirror_twice_is_the_identity(clips: SimpleNamespace, name: str) -> None:
    clip = clips.random(persons=2, skeleton=name)
    clip.x[3, 2] = 0
    mirror = RandomMirror(get_skeleton(name), p=1)
    assert not torch.equal(mirror(clip).x, clip.x)
    assert torch.equal(mirror(mirror(clip)).x, clip.x)


def test_mirror_keeps_scores_with_their_joints(clips: SimpleNamespace) -> None:
    coco = get_skeleton("coco17")
    clip = clips.flat()
    x = RandomMirror(coco, p=1)(clip).x
    left, right = coco.pairs[0]
    assert torch.equal(x[left, :, 2], clip.x[right, :, 2])
    assert torch.equal(x[left, :, 0], -clip.x[right, :, 0])


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_mirror_takes_its_fraction_of_clips(clips: SimpleNamespace, p: float) -> None:
    clip = clips.random(frames=1)
    mirror = RandomMirror(get_skeleton("ntu25"), p)
    fraction = sum(not torch.equal(mirror(clip).x, clip.x) for _ in range(1000)) / 1000
    assert fraction == pytest.approx(p, abs=0.05)


def test_noise_has_its_deviation_and_spares_what_is_missing(clips: SimpleNamespace) -> None:
    clip = clips.random(persons=2, frames=400)
    missing = torch.rand(50, 400) < 0.2
    clip.x[missing] = 0
    moved = GaussianNoise(0.05)(clip).x - clip.x
    assert not moved[missing].any()
    assert moved[~missing].mean().item() == pytest.approx(0, abs=1e-3)
    assert moved[~missing].std().item() == pytest.approx(0.05, rel=0.02)
    assert moved.dtype == torch.float32


@pytest.mark.parametrize("transform", [RandomRotation(), RandomScaling(), GaussianNoise(0.1)])
def test_seeding_torch_repeats_the_draw(clips: SimpleNamespace, transform) -> None:
    clip = clips.random()
    before = clip.x.clone()
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(transform(clip).x)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert torch.equal(clip.x, before)
    assert outputs[0].dtype == torch.float32


def test_mistakes(clips: SimpleNamespace) -> None:
    streams = ToStream("joint+bone", get_skeleton("ntu25"))(clips.random())
    mirror = RandomMirror(get_skeleton("ntu25"))
    for transform in (RandomRotation(), RandomScaling(), GaussianNoise(0.1), mirror):
        with pytest.raises(InputError, match=r"clip_1: 6 channels .* before ToStream"):
            transform(streams)
    with pytest.raises(InputError, match="clip_1: 3 scales do not fit 2 axes"):
        RandomScaling((0.1, 0.1, 0.1))(clips.flat())
    with pytest.raises(InputError, match="skeleton 'hand21': a mirror needs its field 'pairs'"):
        RandomMirror(get_skeleton("hand21"))
    with pytest.raises(InputError, match=r"p: 1\.5 is not a probability"):
        RandomMirror(get_skeleton("ntu25"), p=1.5)
    with pytest.raises(InputError, match="clip_1: 20 joints a person do not fit"):
        mirror(clips.random(skeleton="kinect20"))
    for theta in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match=r"theta: .* is not an angle"):
            RandomRotation(theta)
        with pytest.raises(InputError, match=r"scale: .* is not a change of size"):
            RandomScaling(theta)
        with pytest.raises(InputError, match=r"scale: .* is not a change of size"):
            RandomScaling((0.1, theta, 0.1))
    for std in (-0.1, math.nan, math.inf, 1e30):
        with pytest.raises(InputError, match=r"std: .* is not a standard deviation"):
            GaussianNoise(std)
