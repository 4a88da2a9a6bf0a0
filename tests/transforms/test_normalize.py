from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.data import Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import PreNormalize2D, PreNormalize3D
from pyg_stgcn.transforms.normalize import rotation_between

NTU = get_skeleton("ntu25")
RECORDINGS = ("S001C001P001R001A001", "S001C001P001R001A005", "S001C001P001R001A050")


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize(("align_spine", "tolerance"), [(True, 2e-7), (False, 1e-7)])
def test_recordings_equal_golden(
    shared_data: Path, clips: SimpleNamespace, name: str, align_spine: bool, tolerance: float
) -> None:
    clip, golden = clips.recording(shared_data, name)
    expected = torch.from_numpy(golden[f"prenorm3d/align_spine={align_spine}"])
    output = PreNormalize3D(NTU, align_spine=align_spine)(clip)
    assert output.x.dtype == torch.float32
    assert torch.equal(clip.x, clips.recording(shared_data, name)[0].x)
    torch.testing.assert_close(clips.joints(output).double(), expected, rtol=0, atol=tolerance)


def test_spine_on_z_and_shoulders_on_x(clips: SimpleNamespace) -> None:
    clip = clips.random(frames=5)
    spine = clip.x[1, 0] - clip.x[0, 0]
    sideways = torch.linalg.cross(spine, torch.randn(3))
    clip.x[8, 0] = clip.x[4, 0] + sideways
    x = PreNormalize3D(NTU)(clip).x
    torch.testing.assert_close(x[1, 0], torch.zeros(3))
    torch.testing.assert_close(x[1, 0] - x[0, 0], spine.norm() * torch.eye(3)[2])
    torch.testing.assert_close(x[8, 0] - x[4, 0], sideways.norm() * torch.eye(3)[0])
    torch.testing.assert_close(
        torch.cdist(x.transpose(0, 1), x.transpose(0, 1)),
        torch.cdist(clip.x.transpose(0, 1), clip.x.transpose(0, 1)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_frames_without_the_main_person_are_removed(clips: SimpleNamespace) -> None:
    clip = clips.random(persons=2, frames=6)
    joints = clip.x.view(2, 25, 6, 3)
    joints[0, :, [0, 2, 4]] = 0
    joints[1, :, 5] = 0
    output = PreNormalize3D(NTU, align_spine=False, align_center=False)(clip)
    swapped = joints[[1, 0]][:, :, :5]
    assert torch.equal(output.x, swapped.reshape(50, 5, 3))


def main_first(clip: Data, persons: int) -> Data:
    """Only the order of the persons and the choice of frames."""
    assert clip.num_persons == persons
    return PreNormalize3D(NTU, align_spine=False, align_center=False)(clip)


@pytest.mark.parametrize("mover", [0, 1, 2])
def test_of_equally_present_persons_the_one_who_moves_most_is_the_main_one(
    clips: SimpleNamespace, mover: int
) -> None:
    clip = clips.random(persons=3, frames=4)
    joints = clip.x.view(3, 25, 4, 3)
    joints[mover] *= 1.5
    joints[:2, :, 1] = 0
    joints[2, :, 3] = 0
    kept = [0, 1, 2] if mover == 2 else [0, 2, 3]
    order = [mover, *(0 if person == mover else person for person in (1, 2))]
    assert torch.equal(main_first(clip, 3).x, joints[order][:, :, kept].reshape(75, 3, 3))


@pytest.mark.parametrize("persons", [2, 3, 5])
def test_persons_who_move_the_same_keep_their_order(clips: SimpleNamespace, persons: int) -> None:
    clip = clips.make(torch.randn(1, 4, 25, 3).expand(persons, -1, -1, -1), NTU)
    clip.x[-25:, :, :] *= -1
    assert torch.equal(main_first(clip, persons).x, clip.x)


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1]])
def test_a_passer_by_does_not_decide_which_frames_stay(
    clips: SimpleNamespace, order: list[int]
) -> None:
    joints = torch.randn(3, 60, 25, 3) + 3
    joints[0, 2:] = 0
    joints[1:, 50:] = 0
    joints[2, :5] = 0
    output = main_first(clips.make(joints[order], NTU), len(order))
    assert output.x.shape[1] == 50
    assert torch.equal(clips.joints(output)[0], joints[1, :50])
    assert bool(output.present.view(len(order), 25, 50)[0].all())


def test_missing_joints_stay_at_the_origin(clips: SimpleNamespace) -> None:
    clip = clips.random(frames=5)
    clip.x[7, 1:3] = 0
    x = PreNormalize3D(NTU, scale=True)(clip).x
    missing = (x == 0).all(dim=-1)
    assert missing.nonzero().tolist() == [[1, 0], [7, 1], [7, 2]]


def test_first_frame_that_shows_the_joints_is_the_reference(clips: SimpleNamespace) -> None:
    clip = clips.random(frames=4)
    clip.x[[0, 1, 8], 0] = 0
    x = PreNormalize3D(NTU)(clip).x
    torch.testing.assert_close(x[1, 1], torch.zeros(3))
    shoulders = x[8, 1] - x[4, 1]
    torch.testing.assert_close(shoulders, shoulders.norm() * torch.eye(3)[0])


def test_empty_clip_is_left_alone(clips: SimpleNamespace) -> None:
    clip = clips.make(torch.zeros(2, 3, 25, 3), NTU)
    output = PreNormalize3D(NTU, scale=True)(clip)
    assert torch.equal(output.x, clip.x)
    assert output.num_persons == 2


@pytest.mark.parametrize("name", ["ntu25", "kinect20", "sbu15", "hand21"])
def test_scale_makes_units_vanish(clips: SimpleNamespace, name: str) -> None:
    skeleton = get_skeleton(name)
    clip = clips.random(persons=2, skeleton=name)
    metres = PreNormalize3D(skeleton, scale=True)(clip)
    child, parent = torch.tensor(skeleton.bones).t()
    assert (metres.x[child] - metres.x[parent]).norm(dim=-1).mean().item() == pytest.approx(1)
    clip.x = clip.x * 1000
    millimetres = PreNormalize3D(skeleton, scale=True)(clip)
    torch.testing.assert_close(metres.x, millimetres.x, rtol=1e-5, atol=1e-5)


def test_rotation_needs_axes(clips: SimpleNamespace) -> None:
    hand = get_skeleton("hand21")
    with pytest.raises(InputError, match=r"'hand21': align_spine=True needs .*'spine'"):
        PreNormalize3D(hand, align_spine=True)
    clip = clips.random(skeleton="hand21")
    torch.testing.assert_close(PreNormalize3D(hand)(clip).x, clip.x - clip.x[0, 0])


def test_clip_of_another_skeleton(clips: SimpleNamespace) -> None:
    with pytest.raises(InputError, match=r"clip_1: 20 joints .*'ntu25' in 3-D \(25 joints"):
        PreNormalize3D(NTU)(clips.random(skeleton="kinect20"))
    clip = clips.random(persons=2)
    clip.num_persons = 3
    with pytest.raises(InputError, match="clip_1: 50 nodes cannot belong to 3 persons"):
        PreNormalize3D(NTU)(clip)


@pytest.mark.parametrize(
    "vector", [[1.0, 2.0, 3.0], [0.0, -5.0, 1e-3], [-1.0, 0.0, -1e-4], [0.0, 0.0, 2.0]]
)
def test_rotation_between(vector: list[float]) -> None:
    rotation = rotation_between(vector, [0.0, 0.0, 1.0])
    turned = rotation @ torch.tensor(vector, dtype=torch.double)
    length = math.hypot(*vector)
    torch.testing.assert_close(turned, torch.tensor([0, 0, length], dtype=torch.double))
    torch.testing.assert_close(rotation @ rotation.t(), torch.eye(3, dtype=torch.double))
    assert torch.linalg.det(rotation).item() == pytest.approx(1)


@pytest.mark.parametrize("vector", [[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [1e-7, 0.0, 0.0]])
def test_no_rotation_without_an_axis(vector: list[float]) -> None:
    rotation = rotation_between(vector, [0.0, 0.0, 1.0])
    assert torch.equal(rotation, torch.eye(3, dtype=torch.double))


def test_image_corners_become_ones(clips: SimpleNamespace) -> None:
    clip = clips.flat()
    clip.x[..., 2] = 0.5
    clip.x[0, 0, :2] = torch.tensor([0.0, 100.0])
    clip.x[1, 0, :2] = torch.tensor([200.0, 0.0])
    clip.x[2, 0] = torch.tensor([150.0, 25.0, 0.01])
    x = PreNormalize2D()(clip).x
    assert x[0, 0].tolist() == [-1, 1, 0.5]
    assert x[1, 0].tolist() == [1, -1, 0.5]
    assert x[2, 0].tolist() == pytest.approx([0, 0, 0.01])
    assert x[3, 0].tolist() == pytest.approx(
        [clip.x[3, 0, 0].item() / 100 - 1, clip.x[3, 0, 1].item() / 50 - 1, 0.5], abs=1e-6
    )


def test_box_of_the_joints_becomes_ones(clips: SimpleNamespace) -> None:
    clip = clips.flat()
    clip.x[0, 0] = torch.tensor([5000.0, -5000.0, 0.01])
    output = PreNormalize2D(mode="auto")(clip)
    counts = output.x[..., 2] > 0.01
    points = output.x[..., :2][counts]
    torch.testing.assert_close(points.amin(0), -torch.ones(2))
    torch.testing.assert_close(points.amax(0), torch.ones(2))
    assert not output.x[..., :2][~counts].any()
    assert torch.equal(output.x[..., 2], clip.x[..., 2])


@pytest.mark.parametrize("factor", [0.04, 0.0])
def test_small_box_is_not_scaled(clips: SimpleNamespace, factor: float) -> None:
    clip = clips.flat()
    clip.x[..., 2] = 1
    clip.x[..., 1] *= factor
    assert torch.equal(PreNormalize2D(mode="auto")(clip).x, clip.x)


def test_flat_clip_without_a_certain_joint(clips: SimpleNamespace) -> None:
    clip = clips.flat()
    clip.x[..., 2] = 0
    for mode in ("fix", "auto"):
        assert not PreNormalize2D(mode=mode)(clip).x.any()


def test_mistakes_in_two_dimensions(clips: SimpleNamespace) -> None:
    with pytest.raises(InputError, match=r"'fit'.*choose 'fix' or 'auto'"):
        PreNormalize2D(mode="fit")
    with pytest.raises(InputError, match="clip_1: not a 2-D clip with scores"):
        PreNormalize2D()(clips.random())
