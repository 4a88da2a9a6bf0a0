"""Recordings in files and folders of several formats."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import list_recordings, open_poses
from pyg_stgcn.poses.frame_names import common_step, number_times, parse_frame_name

POINTS = [11.0, 12.0, 0.5]
OPENPOSE = {"version": 1.3, "people": [{"pose_keypoints_2d": POINTS * 25}]}
ALPHAPOSE = [{"image_id": "0.jpg", "category_id": 1, "keypoints": POINTS * 17, "idx": 1}]
MMPOSE = [
    {
        "frame_id": 0,
        "instances": [{"keypoints": [POINTS[:2]] * 17, "keypoint_scores": [0.5] * 17}],
    }
]


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_folder_of_all_kinds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [tmp_path / "wave" / f"{number}_keypoints.json" for number in (1, 2)]
    expected = [
        tmp_path / "wave",
        write(tmp_path / "wave" / "mmpose.json", MMPOSE),
        write(tmp_path / "sit" / "one" / "alphapose-results.json", ALPHAPOSE),
        tmp_path / "sit" / "clip1.npy",
        tmp_path / "linked",
    ]
    for frame in frames:
        write(frame, OPENPOSE)
    np.save(expected[3], np.ones((5, 17, 3)) * [9, 9, 0.5])
    write(tmp_path / "elsewhere" / "5.json", OPENPOSE)
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    expected[4] = tmp_path / "elsewhere"
    write(tmp_path / "sit" / "camera.json", {"focal": 3})
    (tmp_path / "labels.csv").write_text("name,label\nclip1,sit\n")
    (tmp_path / ".hidden.json").write_text("[]")
    found = list_recordings(tmp_path)
    assert found == sorted(expected)
    assert "left out, not pose files: labels.csv, sit/camera.json" in caplog.text
    names = [recording.name for path in found for recording in open_poses(path)]
    assert sorted(names) == ["clip1", "elsewhere", "mmpose", "one", "wave"]


def test_empty_frames_do_not_hide_a_recording(tmp_path: Path) -> None:
    """The first files of a folder may have no person, or nothing in them at all."""
    (tmp_path / "0.json").write_text("")
    write(tmp_path / "1.json", [])
    write(tmp_path / "2.json", OPENPOSE)
    assert list_recordings(tmp_path) == [tmp_path]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "is empty; name a pose file"),
        (
            lambda path: write(path / "a.json", ALPHAPOSE),
            "no files of one frame each, only others such as a.j",
        ),
        (lambda path: path.write_text("[]"), "is a list without persons"),
        (lambda path: path.write_text('{"a": 1}'), "is JSON, not a pose file"),
        (lambda path: os.mkfifo(path), "is a pipe"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, make: object, error: str) -> None:
    path = tmp_path / "input.json"
    make(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=error) as raised:
        open_poses(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, "is empty; name a folder"),
        (lambda path: write(path / "in" / "a.json", 3), "contains no pose file, only in/a.json"),
        (lambda path: path.rmdir(), "is not a folder"),
    ],
)
def test_folders_without_recordings(tmp_path: Path, make: object, error: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    make(folder)  # type: ignore[operator]
    with pytest.raises(InputError, match=error):
        list_recordings(folder)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"image_size": (0, 640)}, "height and width"),
        ({"image_size": (480, float("nan"))}, "height and width"),
        ({"image_size": ()}, "height and width"),
        ({"image_size": (480,)}, "height and width"),
        ({"fps": 0}, "fps=0"),
        ({"fps": float("inf")}, "fps=inf"),
        ({"skeleton": "coco18"}, "did you mean 'coco17'"),
        ({"skeleton": "coco17"}, "has 25 joints a person, skeleton 'coco17' has 17"),
    ],
)
def test_impossible_arguments(tmp_path: Path, arguments: dict[str, object], error: str) -> None:
    path = write(tmp_path / "1.json", OPENPOSE)
    with pytest.raises(InputError, match=error):
        open_poses(path, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("walk_000000000012_keypoints.json", ("walk_", "_keypoints.json", 12, False)),
        ("12.jpg", ("", ".jpg", 12, False)),
        ("12", ("", "", 12, False)),
        ("S001C001_0007.jpg.json", ("S001C001_", ".jpg.json", 7, False)),
        ("walk.12", ("walk.", "", 12, False)),
        ("walk", ("walk", "", 0, False)),
        ("walk.json", ("walk", ".json", 0, False)),
        ("a/b 3.png", ("a/b ", ".png", 3, False)),
        ("2018-13-04T12_06_21.055272.png", ("2018-13-04T12_06_21.", ".png", 55272, False)),
    ],
)
def test_names_of_frames(name: str, expected: tuple[str, str, int, bool]) -> None:
    assert tuple(parse_frame_name(name)) == expected


def test_times() -> None:
    first = parse_frame_name("cam 2020-02-29 23:59:59.9_x.png")
    assert not first.is_time  # A tenth of a second is too coarse for a frame.
    first = parse_frame_name("cam_2020-02-29 23:59:59.999.png")
    second = parse_frame_name("cam_2020-03-01 00:00:00.001000.png")
    assert (first.prefix, first.is_time) == ("cam_", True)
    assert second.number - first.number == 2000
    numbers, fps = number_times(np.array([0, 40, 81, 200, 201]) * 1000 + 10**15)
    assert numbers.tolist() == [0, 1, 2, 5, 6]
    assert fps == pytest.approx(1 / 0.0405, abs=1e-3)
    assert number_times(np.array([5])) == (np.array([0]), None)


@pytest.mark.parametrize(
    ("numbers", "step"),
    [([5], 1), ([5, 15], 1), ([0, 10, 20, 50], 10), ([0, 10, 20, 25], 1), ([1, 3, 7, 13], 1)],
)
def test_steps(numbers: list[int], step: int) -> None:
    assert common_step(np.array(numbers)) == step
