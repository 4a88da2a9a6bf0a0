from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.skeletons.trunk import trunk_joints
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
)
from pyg_stgcn.transforms.clip_tensor import present_joints
from pyg_stgcn.transforms.presence import present_in_plane, present_in_space

NTU, KINECT, COCO = get_skeleton("ntu25"), get_skeleton("kinect20"), get_skeleton("coco17")
#: Where somebody stands in front of a camera, in metres.
CAMERA = torch.tensor([0.3, 0.2, 3.0])


def body(skeleton: Any, frames: int = 30, persons: int = 1) -> Tensor:
    """People one metre tall who walk a little way from the origin, [M, V, T, 3]."""
    rest = torch.rand(persons, skeleton.num_joints, 1, 3) - 0.5
    drift = torch.linspace(0, 0.4, frames).view(1, 1, -1, 1) * torch.tensor([1.0, 0.1, 0.5])
    return rest + drift + 0.003 * torch.randn(persons, skeleton.num_joints, frames, 3)


def clip_of(joints: Tensor, **options: Any) -> Data:
    persons = joints.size(0)
    return Data(x=joints.flatten(0, 1), num_persons=persons, name="clip_1", **options)


@pytest.mark.parametrize("name", ["ntu25", "kinect20", "sbu15"])
@pytest.mark.parametrize("persons", [1, 2])
def test_a_root_at_the_origin_is_a_position(name: str, persons: int) -> None:
    skeleton = get_skeleton(name)
    x = body(skeleton, persons=persons) + CAMERA
    assert trunk_joints(skeleton)[0] == skeleton.root_joint
    for joint in trunk_joints(skeleton):
        relative = x - x[:, joint : joint + 1]
        assert present_in_space(relative, skeleton).all()
        absent = relative.clone()
        absent[:, :, 10:14] = 0
        absent[:, 5, 3] = 0
        expected = torch.ones(absent.shape[:3], dtype=torch.bool)
        expected[:, :, 10:14] = False
        expected[:, 5, 3] = joint == 5
        assert torch.equal(present_in_space(absent, skeleton), expected)


def test_a_wrist_is_the_root_of_its_hand() -> None:
    hand = get_skeleton("hand21")
    # Four bones to a finger, 10 cm from the wrist to the first.
    spread = torch.linspace(-0.6, 0.6, 5)
    fingers = [
        (0.1 + 0.03 * k) * torch.tensor([float(a.sin()), float(a.cos()), 0.0])
        for a in spread
        for k in range(4)
    ]
    x = torch.stack([torch.zeros(3), *fingers]).view(1, 21, 1, 3).repeat(1, 1, 8, 1)
    assert present_in_space(x, hand).all()


def test_a_root_that_was_never_seen_is_missing() -> None:
    for skeleton in (NTU, KINECT):
        x = body(skeleton) + CAMERA
        for joint in trunk_joints(skeleton):
            lost = x.clone()
            lost[:, joint] = 0
            present = present_in_space(lost, skeleton)
            assert not present[:, joint].any()
            assert present.sum() == (skeleton.num_joints - 1) * 30


def test_limbs_are_no_roots() -> None:
    x = body(NTU)
    relative = x - x[:, 1:2]
    relative[:, 11] = 0
    present = present_in_space(relative, NTU)
    assert present[:, 1].all() and not present[:, 11].any()


def test_the_root_of_one_frame_is_a_position_and_a_missing_one_is_not() -> None:
    x = body(NTU)
    for frame in (0, 7, 29):
        centred = x - x[:, 1:2, frame : frame + 1]
        assert present_in_space(centred, NTU).all()
        far = centred + CAMERA
        far[:, 1, frame] = 0
        assert present_in_space(far, NTU).logical_not().nonzero().tolist() == [[0, 1, frame]]
    # Relative to another joint, where the origin is near, but not on the way.
    relative = x - x[:, :1]
    relative[:, 1, 4:6] = 0
    assert present_in_space(relative, NTU).logical_not().nonzero().tolist() == [
        [0, 1, 4],
        [0, 1, 5],
    ]


def test_normalised_clips_are_read_back_whole() -> None:
    clip = PreNormalize3D(NTU, scale=True)(clip_of(body(NTU, persons=2) + CAMERA))
    assert clip.present.all()
    del clip.present
    assert not clip.x[1, 0].any()
    assert present_joints(clip, NTU).all()


def test_joints_in_the_plane() -> None:
    x = torch.tensor([[[3.0, 4.0, 0.9], [0.0, 0.0, 0.9], [0.0, 2.0, 0.4], [5.0, 1.0, 0.0]]])
    assert present_in_plane(x).tolist() == [[True, False, True, False]]
    assert present_in_plane(x[..., :2]).tolist() == [[True, False, True, True]]
    x[..., 2] = 0
    assert present_in_plane(x).tolist() == [[True, False, True, True]], "such scores say nothing"


@pytest.mark.parametrize("name", ["ntu25", "kinect20"])
def test_poses_relative_to_their_root_are_normalised_like_others(name: str) -> None:
    skeleton = get_skeleton(name)
    x = body(skeleton) + CAMERA
    for joint in trunk_joints(skeleton):
        root = x[:, joint : joint + 1]
        absolute, relative = (
            PreNormalize3D(skeleton, scale=True)(clip_of(joints)).x for joints in (x, x - root)
        )
        torch.testing.assert_close(
            relative - relative[joint], absolute - absolute[joint], rtol=0, atol=1e-5
        )


def test_recorded_poses_relative_to_their_root(shared_data: Path) -> None:
    with np.load(shared_data / "golden" / "ntu_raw" / "S001C001P001R001A050.npz") as archive:
        x = torch.from_numpy(archive["keypoint"]).float().transpose(1, 2)
    transform = PreNormalize3D(NTU, scale=True)
    absolute = transform(clip_of(x))
    for joint in trunk_joints(NTU):
        relative = transform(clip_of(x - x[:, joint : joint + 1]))
        assert relative.present.all()
        first, second = (
            clip.x.view(2, 25, -1, 3) - clip.x.view(2, 25, -1, 3)[:, joint : joint + 1]
            for clip in (absolute, relative)
        )
        torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


def test_a_blanked_joint_is_missing_whatever_its_score() -> None:
    """A body that stands still, whose left wrist is blanked in three frames, the score kept."""
    x = (
        torch.rand(1, 17, 1, 3)
        .mul(torch.tensor([200.0, 200.0, 0.5]))
        .add(torch.tensor([200.0, 200.0, 0.5]))
    )
    x = x.repeat(1, 1, 10, 1)
    seen = x.clone()
    x[0, 9, 4:7] = torch.tensor([0, 0, 0.37])
    clip = clip_of(x, image_size=torch.tensor([[480.0, 640.0]]))
    normalised = PreNormalize2D()(clip)
    whole = PreNormalize2D()(clip_of(seen, image_size=torch.tensor([[480.0, 640.0]])))
    assert normalised.x[9, 4:7].tolist() == [[0, 0, pytest.approx(0.37)]] * 3
    assert normalised.present.logical_not().nonzero().tolist() == [[9, 4], [9, 5], [9, 6]]
    torch.testing.assert_close(Interpolate()(normalised).x, whole.x)
    motion = ToStream("joint-motion+bone-motion", COCO)(normalised).x
    assert not motion[..., [0, 1, 3, 4]].any()
    bone = ToStream("bone", COCO)(normalised).x
    assert not bone[9, 4:7, :2].any()
    assert torch.equal(bone[9, :4], ToStream("bone", COCO)(whole).x[9, :4])


def test_a_joint_in_the_middle_of_the_image_is_present() -> None:
    x = torch.full((1, 17, 4, 3), 0.8)
    x[..., :2] = torch.tensor([100.0, 50.0])
    clip = PreNormalize2D()(clip_of(x, image_size=torch.tensor([[100.0, 200.0]])))
    assert not clip.x[..., :2].any()
    assert clip.present.all()
    assert GaussianNoise(0.1)(clip).x[..., :2].all()


def test_bones_and_motion_of_missing_joints_are_zero() -> None:
    x = body(NTU, frames=6) + CAMERA
    x[0, 5, 2] = 0
    clip = clip_of(x)
    bone = ToStream("bone", NTU)(clip).x
    motion = ToStream("joint-motion", NTU)(clip).x
    change = ToStream("bone-motion", NTU)(clip).x
    children = [child for child, parent in NTU.stream_bones if 5 in (child, parent)]
    assert len(children) == 2
    gone = torch.zeros(25, 6, dtype=torch.bool)
    gone[children, 2] = True
    gone[20] = True  # The bone of length zero.
    assert torch.equal((bone == 0).all(dim=-1), gone)
    assert motion[5].any(dim=-1).tolist() == [True, False, False, True, True, False]
    assert motion[4, :5].all()
    for child in children:
        assert change[child].any(dim=-1).tolist() == [True, False, False, True, True, False]
    assert torch.cat([bone, motion, change]).abs().max() < 2, "nothing jumps across the room"


STEPS = [
    GaussianNoise(0.1),
    Interpolate(),
    JointDropout(0.2),
    PadPersons(3),
    PadPersons(1),
    PreNormalize3D(NTU, scale=True),
    RandomMirror(NTU, p=1.0),
    RandomRotation(1.0),
    RandomScaling(0.2),
    RandomSpeed(0.5),
    TemporalCorruption(0.5),
    TemporalCrop(0.5),
    UniformSample(20),
    UniformSample(5, num_views=3, train=False),
]


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_every_transform_keeps_presence_and_positions_together(step: Any) -> None:
    x = body(NTU, frames=12, persons=2) + CAMERA
    missing = torch.rand(x.shape[:3]) < 0.2
    missing[1, :, 3:5] = True
    x[missing] = 0
    # A position at the origin, which coordinates alone would take for a missing joint.
    x[0, 6, 1], missing[0, 6, 1] = 0, False
    clip = clip_of(x, edge_index=torch.cat([NTU.edge_index(), NTU.edge_index() + 25], dim=1))
    clip.present = ~missing.flatten(0, 1)
    before = clip.present.clone()
    moved = step(clip)
    assert torch.equal(clip.present, before), "what a transform is given stays as it is"
    assert moved.present.shape == moved.x.shape[:2] and moved.present.dtype == torch.bool
    nonzero = moved.x.any(dim=-1)
    assert not nonzero[~moved.present].any()
    # Of the present ones only the position at the origin, and its copies, may be at zero.
    assert (moved.present & ~nonzero).sum() <= moved.x.size(1) / 4


def test_the_root_in_the_origin_is_neither_repaired_nor_spared() -> None:
    clip = PreNormalize3D(NTU)(clip_of(body(NTU) + CAMERA))
    assert not clip.x[1, 0].any()
    assert torch.equal(Interpolate()(clip).x, clip.x)
    assert GaussianNoise(0.1)(clip).x[1, 0].all()
    bone = ToStream("bone", NTU)(clip).x
    torch.testing.assert_close(bone[0, 0], clip.x[0, 0] - clip.x[1, 0])


def test_a_transform_that_does_not_know_of_presence() -> None:
    """One of a user's own that changes frames; then coordinates tell again."""
    clip = clip_of(body(NTU) + CAMERA)
    clip.x[7, ::2] = 0
    clip.present = torch.ones(25, 30, dtype=torch.bool)
    clip.x = clip.x[:, ::2]
    shown = present_joints(clip, NTU)
    assert shown.logical_not().nonzero()[:, 0].tolist() == [7] * 15
    for step in (RandomSpeed(0.5), PreNormalize3D(NTU), Interpolate()):
        assert not step(clip).present[7].any()
    for step in (TemporalCrop(0.5), UniformSample(40), TemporalCorruption(0.5), JointDropout(0.2)):
        assert "present" not in step(clip), "neither is it that of other frames"
