"""MMPose's predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn import get_skeleton
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import list_recordings, open_poses


def instance(x: float, num_joints: int = 17, axes: int = 2, **more: Any) -> dict[str, Any]:
    """A person with joints at (x + joint, 2[, 3]), as the inferencer writes it."""
    joints = [[x + joint, 2.0, 3.0][:axes] for joint in range(num_joints)]
    box = {"bbox": [[1.0, 2.0, 3.0, 4.0]], "bbox_score": 0.9}
    return {"keypoints": joints, "keypoint_scores": [0.7] * num_joints, **box, **more}


def frame(number: int, *instances: dict[str, Any]) -> dict[str, Any]:
    return {"frame_id": number, "instances": list(instances)}


def names(*joints: str) -> dict[str, Any]:
    """The start of ``meta_info`` as the demo programs write it, with numbers as texts."""
    return {
        "dataset_name": "any",
        "num_keypoints": len(joints),
        "keypoint_id2name": {str(number): name for number, name in enumerate(joints)},
        "sigmas": {"__ndarray__": [0.1], "dtype": "float64", "shape": [1]},
    }


def write(path: Path, content: object, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, **options))
    return path


@pytest.mark.parametrize("has_meta", [False, True])
def test_videos(tmp_path: Path, has_meta: bool) -> None:
    frames = [frame(4, instance(1), instance(2)), frame(5), frame(7, instance(3))]
    meta = names(*get_skeleton("coco17").joints)
    content = {"meta_info": meta, "instance_info": frames} if has_meta else frames
    (recording,) = open_poses(write(tmp_path / "walk.json", content, indent="\t"), fps=30)
    assert (recording.name, recording.skeleton.name) == ("walk", "coco17")
    assert (recording.num_frames, recording.fps, recording.num_channels) == (4, 30, 2)
    found = [(one.number, one.joints[:, 0].tolist()) for one in recording.frames()]
    assert found == [(4, [[1, 2], [2, 2]]), (5, []), (7, [[3, 2]])]


def test_joints_are_found_by_name(tmp_path: Path) -> None:
    """Whole bodies have joints of feet, face and hands; the order is that of the names."""
    joints = ["chin", *reversed(get_skeleton("coco17").joints), "left_big_toe"]
    content = {"instance_info": [frame(0, instance(0, 19))], "meta_info": names(*joints)}
    (recording,) = open_poses(write(tmp_path / "a.json", content))
    assert recording.skeleton == get_skeleton("coco17")
    (only,) = recording.frames()
    np.testing.assert_array_equal(only.joints[0, :, 0], range(17, 0, -1))


def test_unknown_names(tmp_path: Path) -> None:
    content = {"meta_info": names("root", "tail"), "instance_info": [frame(0, instance(0, 2))]}
    path = write(tmp_path / "a.json", content)
    with pytest.raises(InputError, match=r"\['root', 'tail'\], of no known layout"):
        open_poses(path)
    description = {"name": "cat", "joints": ["a", "b"], "bones": [[0, 1]], "center": 0}
    (recording,) = open_poses(
        path, skeleton=str(write(tmp_path / "cat.skeleton.json", description))
    )
    assert recording.skeleton.name == "cat"


def test_3d_joints_need_names(tmp_path: Path) -> None:
    """Those of MMPose's 3-D models are not COCO's, though 17."""
    path = write(tmp_path / "a.json", [frame(0, instance(0, axes=3))])
    with pytest.raises(InputError, match="has 17 joints a person"):
        open_poses(path)
    (recording,) = open_poses(path, skeleton="coco17", image_size=(9, 9))
    (only,) = recording.frames()
    assert (recording.num_channels, recording.image_size) == (3, None)
    assert only.joints[0, 4].tolist() == [4, 2, 3]


def test_images(tmp_path: Path) -> None:
    """A file an image, as for a folder of frames; those without persons are empty lists."""
    write(tmp_path / "walk" / "000.json", [])
    write(tmp_path / "walk" / "001.json", [instance(1), instance(2)])
    write(tmp_path / "walk" / "003.json", [instance(3, 133)])
    write(tmp_path / "nobody" / "000.json", [])
    assert list_recordings(tmp_path) == [tmp_path / "walk"]
    (recording,) = open_poses(tmp_path / "walk")
    frames = recording.frames()
    assert [len(next(frames).joints), len(next(frames).joints)] == [0, 2]
    with pytest.raises(InputError, match=r"003\.json: has 133 joints a person, while"):
        next(frames)
    with pytest.raises(InputError, match="contains no files of one frame each"):
        open_poses(tmp_path / "nobody")
    (recording,) = open_poses(tmp_path / "walk" / "003.json")
    assert next(recording.frames()).joints.shape == (1, 17, 2)


def test_one_image_of_a_demo_program(tmp_path: Path) -> None:
    content = {"meta_info": {}, "instance_info": [instance(1), instance(2)]}
    (recording,) = open_poses(write(tmp_path / "a.json", content))
    assert [(one.number, len(one.joints)) for one in recording.frames()] == [(0, 2)]


def test_first_frames_that_are_larger_than_the_start_of_a_file(tmp_path: Path) -> None:
    """Whole bodies of a crowd: the format is recognised all the same."""
    crowd = [instance(x, 133) for x in range(40)]
    for content in ([frame(0, *crowd)], crowd, {"meta_info": {}, "instance_info": crowd}):
        (recording,) = open_poses(write(tmp_path / "a_1.json", content, indent="  "))
        (only,) = recording.frames()
        assert only.joints.shape == (40, 17, 2)


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([frame(3)], "there is no person in it"),
        ([frame(True, instance(1))], "the frame_id is True"),
        ([frame(10**12, instance(1))], "frame number 1000000000000"),
        ([{"frame_id": 1, "instances": 3}], "frame 1: the instances are 3, not a list"),
        ([frame(0, instance(1) | {"keypoints": [[1], [2]]})], r"frame 0: keypoints are \[\[1\]"),
        ([frame(0, instance(1), instance(1, 26))], "the same number for each person"),
        ([frame(0, instance(1) | {"keypoint_scores": [1]})], r"keypoint_scores are \[1\]"),
        ([frame(0, instance(1)), frame(1, instance(1, 26))], "has 26 joints .* have 17"),
        ([frame(0, instance(float("nan")))], r"frame 0: person 0, joint 0 is \[nan"),
        ([frame(0, instance(1)), 7], "the frame_id is None"),
    ],
)
def test_frames_that_cannot_be_read(tmp_path: Path, frames: object, error: str) -> None:
    path = write(tmp_path / "a.json", {"meta_info": {}, "instance_info": frames})
    with pytest.raises(InputError, match=error) as raised:
        open_poses(path)
    assert str(path) in str(raised.value)
