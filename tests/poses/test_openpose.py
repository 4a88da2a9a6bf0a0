"""OpenPose's JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import open_poses


def person(values: Sequence[float], key: str = "pose_keypoints_2d", **more: Any) -> dict[str, Any]:
    """A person as OpenPose writes it, with the keys of hands and face."""
    return {
        key: list(values),
        "face_keypoints_2d": [1.0, 2.0, 0.5] * 70,
        "hand_left_keypoints_2d": [],
        "hand_right_keypoints_2d": [],
        **more,
    }


def body(x: float, num_joints: int = 18) -> list[float]:
    """Joints at (x, x + joint) with score 0.5; the last one is missing."""
    joints = [(x, x + joint, 0.5) for joint in range(num_joints - 1)]
    return [value for joint in (*joints, (0, 0, 0)) for value in joint]


def write(path: Path, *people: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1.3, "people": list(people)}))
    return path


def test_frames_are_read_by_number_and_gaps_stay(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    for number in (12, 9, 10):
        write(folder / f"a_{number:012d}_keypoints.json", person(body(number)), person(body(1)))
    (recording,) = open_poses(folder, image_size=(480, 640), fps=30)
    assert (recording.name, recording.skeleton.name) == ("walk", "openpose18")
    assert (recording.num_frames, recording.image_size, recording.fps) == (4, (480, 640), 30)
    frames = list(recording.frames())
    assert [frame.number for frame in frames] == [9, 10, 12]
    assert frames[0].joints.shape == (2, 18, 2)
    np.testing.assert_array_equal(frames[2].joints[0, :3], [[12, 12], [12, 13], [12, 14]])
    np.testing.assert_array_equal(frames[2].scores[0], [0.5] * 17 + [0])
    assert frames[0].tracks is None


def test_a_frame_without_a_person_is_empty(tmp_path: Path) -> None:
    write(tmp_path / "0.json")
    write(tmp_path / "1.json", person(body(1)))
    (recording,) = open_poses(tmp_path)
    assert [frame.joints.shape for frame in recording.frames()] == [(0, 18, 2), (1, 18, 2)]


def test_recordings_in_one_folder_are_told_apart_by_name(tmp_path: Path) -> None:
    for name in ("b_1", "a_1", "a_2", "c"):
        write(tmp_path / f"{name}_keypoints.json", person(body(1)))
    recordings = open_poses(tmp_path)
    assert {r.name: [f.number for f in r.frames()] for r in recordings} == {
        "a": [1, 2],
        "b": [1],
        "c": [0],
    }


def test_no_person_in_any_frame(tmp_path: Path) -> None:
    write(tmp_path / "a_1_keypoints.json")
    with pytest.raises(InputError, match=r"no person in 1 frame of"):
        open_poses(tmp_path)
