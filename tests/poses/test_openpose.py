"""OpenPose's JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import collect_clip, json_stream, open_poses

GENUINE = Path(__file__).parents[3] / "shared" / "data" / "poses" / "openpose_body25"


def person(values: Sequence[float], key: str = "pose_keypoints_2d", **more: Any) -> dict[str, Any]:
    """A person as OpenPose writes it, with the keys of hands and face."""
    return {
        key: list(values),
        "face_keypoints_2d": [1.0, 2.0, 0.5] * 70,
        "hand_left_keypoints_2d": [3.0, 4.0, 0.5] * 21,
        "hand_right_keypoints_2d": [],
        "pose_keypoints_3d": [],
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


def test_every_tenth_frame(tmp_path: Path) -> None:
    for number in (5, 15, 35, 45, 55):
        write(tmp_path / f"{number}.json", person(body(1)))
    (recording,) = open_poses(tmp_path)
    assert (recording.step, recording.num_frames) == (10, 6)


@pytest.mark.parametrize(("low", "factor"), [(0.0, 1.0), (-1.0, 2.0)])
def test_coordinates_relative_to_the_image_become_pixels(
    tmp_path: Path, low: float, factor: float
) -> None:
    """OpenPose writes them from 0 to 1, or from -1 to 1, if ``--keypoint_scale`` asks for it."""
    points = np.random.default_rng(0).random((18, 2)) * [640, 480]
    scaled = points / [640, 480] * factor + low
    values = np.concatenate([scaled, np.full((18, 1), 0.5)], axis=1)
    values[3] = [low, low, 0]
    path = write(tmp_path / "1.json", person(values.ravel().tolist()))
    if low == 0:
        with pytest.raises(InputError, match=r"fractions of the image.*image_size"):
            open_poses(path)
    (recording,) = open_poses(path, image_size=(480, 640))
    (frame,) = recording.frames()
    points[3] = 0
    np.testing.assert_allclose(frame.joints[0], points, rtol=1e-4)
    assert recording.image_size == (480, 640)


def test_layouts_keys_and_identities(tmp_path: Path) -> None:
    write(tmp_path / "new" / "1.json", person(body(1, 25), person_id=[4]))
    write(tmp_path / "old" / "1.json", person(body(1), "pose_keypoints", person_id=[-1]))
    for folder, skeleton, tracks in (
        ("new", "openpose25", [4]),
        ("old", "openpose18", None),
    ):
        (recording,) = open_poses(tmp_path / folder / "1.json")
        (frame,) = recording.frames()
        assert recording.skeleton.name == skeleton
        assert (frame.tracks if frame.tracks is None else frame.tracks.tolist()) == tracks


def test_a_frame_without_a_person_is_empty(tmp_path: Path) -> None:
    write(tmp_path / "0.json")
    write(tmp_path / "1.json", person(body(1)))
    (recording,) = open_poses(tmp_path)
    assert [frame.joints.shape for frame in recording.frames()] == [(0, 18, 2), (1, 18, 2)]


def test_recordings_in_one_folder_are_told_apart_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b_1", "a_1", "a_2", "c"):
        write(tmp_path / f"{name}_keypoints.json", person(body(1)))
    write(tmp_path / "nobody_7_keypoints.json")
    recordings = open_poses(tmp_path)
    assert {r.name: [f.number for f in r.frames()] for r in recordings} == {
        "a": [1, 2],
        "b": [1],
        "c": [0],
    }
    assert "there is no person in 1 frame of 'nobody'" in caplog.text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"version":1.3,"people":[', "damaged .Expecting value"),
        ('{"version":1.3,"people":[]}', "there is no person in 1 frame"),
        ('{"people":[{"pose_keypoints_2d":[]}]}', "a person has no pose_keypoints_2d"),
        ('{"people":[[1]]}', "a person has no pose_keypoints_2d"),
        ('{"people":[{"pose_keypoints_2d":[1,2]}]}', r"are \[1, 2\], not x, y and score"),
        ('{"people":[{"pose_keypoints_2d":["a","b","c"]}]}', "not x, y and score"),
        ('{"people":[{"pose_keypoints_2d":[1,2,3]}]}', r"has 1 joints .* openpose25 \(25\)"),
        ('{"people":[' + "[" * 100_000, "damaged .*recursion"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "a_1_keypoints.json"
    path.write_text(text)
    with pytest.raises(InputError, match=error) as raised:
        open_poses(path)
    assert str(path) in str(raised.value)


def test_a_file_too_large_for_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_VALUE", 1000)
    with pytest.raises(InputError, match="too much for one frame"):
        open_poses(write(tmp_path / "1.json", person(body(1))))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([float("nan"), *body(1)[1:]], r"person 0, joint 0 is \[nan, 1.0\]"),
        ([1e300, *body(1)[1:]], "inf"),
        (body(1, 25), r"has 25 joints a person, while .*a_1\.json has 18"),
    ],
)
def test_a_frame_that_cannot_be_used(tmp_path: Path, values: list[float], error: str) -> None:
    write(tmp_path / "a_1.json", person(body(1)))
    write(tmp_path / "a_2.json", person(values))
    (recording,) = open_poses(tmp_path)
    with pytest.raises(InputError, match=f"a_2.json: .*{error}"):
        list(recording.frames())


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (("a_1", "a_01"), "a_01.json and a_1.json are both frame 1"),
        (("a_1000000000000",), "frame number 1000000000000"),
        (("a_1", "a_90000000"), "more than 10,000,000 frames"),
    ],
)
def test_impossible_numbers(tmp_path: Path, names: tuple[str, ...], error: str) -> None:
    for name in names:
        write(tmp_path / f"{name}.json", person(body(1)))
    with pytest.raises(InputError, match=error):
        open_poses(tmp_path)


@pytest.mark.skipif(not GENUINE.is_dir(), reason="needs shared/data/poses")
def test_a_genuine_folder() -> None:
    (recording,) = open_poses(GENUINE / "psychologie")
    assert recording.skeleton.name == "openpose25"
    frames = list(recording.frames())
    assert [frame.number for frame in frames] == list(range(60, 80))
    path = GENUINE / "psychologie" / "psychologie_000000000060_keypoints.json"
    values = json.loads(path.read_text())["people"][0]["pose_keypoints_2d"]
    expected = np.float32(values).reshape(25, 3)
    np.testing.assert_array_equal(frames[0].joints[0], expected[:, :2])
    np.testing.assert_array_equal(frames[0].scores[0], expected[:, 2])


def test_persons_with_one_identity_are_not_merged(tmp_path: Path) -> None:
    """Some converters write the identity 0 for everybody."""
    for number in range(4):
        people = [person(body(x + number), person_id=[0]) for x in (10, 400)]
        write(tmp_path / f"{number}.json", *people)
    (recording,) = open_poses(tmp_path)
    assert [frame.tracks.tolist() for frame in recording.frames()] == [[0, -1]] * 4  # type: ignore[union-attr]
    clip = collect_clip(recording)
    np.testing.assert_array_equal(np.sort(clip.joints[:, :, 0, 0], axis=0)[:, 0], [10, 400])


def test_identities_of_some_persons_are_kept(tmp_path: Path) -> None:
    people = [person(body(x), person_id=[track]) for x, track in ((10, 7), (400, -1))]
    path = write(tmp_path / "1.json", *people)
    (frame,) = open_poses(path)[0].frames()
    assert frame.tracks is not None and frame.tracks.tolist() == [7, -1]
