"""AlphaPose and COCO results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import Recording, open_poses

GENUINE = Path(__file__).parents[3] / "shared" / "data" / "poses" / "alphapose_coco17"


def keypoints(x: float, num_joints: int = 17) -> list[float]:
    """Joints at (x + joint, 2) with score 1.1."""
    return [value for joint in range(num_joints) for value in (x + joint, 2.0, 1.1)]


def entry(image: object, x: float = 1.0, num_joints: int = 17, **more: Any) -> dict[str, Any]:
    """A person as AlphaPose writes it; ``idx`` is that of a run without tracking."""
    common = {"category_id": 1, "keypoints": keypoints(x, num_joints), "score": 2.9}
    return {"image_id": image, **common, "box": [1.0, 2.0, 3.0, 4.0], "idx": [0.0], **more}


def coco(image: object, x: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "keypoints": keypoints(x), "score": 0.9, **more}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def tracks(recording: Recording) -> list[list[int] | None]:
    found = [frame.tracks for frame in recording.frames()]
    return [None if ids is None else ids.tolist() for ids in found]


def test_persons_of_an_image_are_one_frame_in_order_of_the_numbers(tmp_path: Path) -> None:
    persons = [entry("10.jpg", 5), entry("2.jpg", 1), entry("10.jpg", 7), entry("3.jpg", 2)]
    (recording,) = open_poses(write(tmp_path / "walk.json", persons), fps=25)
    assert (recording.name, recording.skeleton.name, recording.fps) == ("walk", "coco17", 25)
    assert (recording.num_frames, recording.step, recording.has_score) == (9, 1, True)
    for _ in range(2):
        frames = list(recording.frames())
        assert [(frame.number, frame.joints[:, 0, 0].tolist()) for frame in frames] == [
            (2, [1]),
            (3, [2]),
            (10, [5, 7]),
        ]
    np.testing.assert_array_equal(frames[2].scores, np.full((2, 17), np.float32(1.1)))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((3, 8, 3, 8), [[3, 8], [3, 8]]),
        (([[3.0], [5.0]], 8.0, 3, [8.0]), [[3, 8], [3, 8]]),  # Merged persons, and floats.
        (([0.0], [[0.0], [0.0]], [0.0], [0.0]), [None, None]),
        ((0, 0, 0, 0), [None, None]),
        ((3, 8, 3, None), [[3, 8], [3, -1]]),
        ((3, 8, 3, float("nan")), [[3, 8], [3, -1]]),
    ],
)
def test_identities_count_where_they_tell_persons_apart(
    tmp_path: Path, ids: tuple[object, ...], expected: list[list[int] | None]
) -> None:
    images = ("1.jpg", "1.jpg", "2.jpg", "2.jpg")
    persons = [entry(image, idx=one) for image, one in zip(images, ids, strict=True)]
    (recording,) = open_poses(write(tmp_path / "a.json", persons))
    assert tracks(recording) == expected


def test_identities_that_are_not_unique(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    persons = [entry("1.jpg", idx=2), entry("4.jpg", idx=3), entry("4.jpg", idx=3)]
    (recording,) = open_poses(write(tmp_path / "a.json", persons))
    assert tracks(recording) == [None, None]
    assert "frame 4 has several persons with the identity 3" in caplog.text


@pytest.mark.parametrize(
    ("num_joints", "skeleton"),
    [(17, "coco17"), (26, "halpe26"), (136, "halpe26"), (133, "coco17"), (68, "halpe26")],
)
def test_the_joints_of_the_body_come_first(tmp_path: Path, num_joints: int, skeleton: str) -> None:
    path = write(tmp_path / "a.json", [entry("0.jpg", 4, num_joints)])
    for given in (None, skeleton):
        (recording,) = open_poses(path, skeleton=given)
        (frame,) = recording.frames()
        assert recording.skeleton.name == skeleton
        expected = np.arange(recording.skeleton.num_joints) + 4
        np.testing.assert_array_equal(frame.joints[0, :, 0], expected)


def test_images_named_by_the_time_keep_their_gaps(tmp_path: Path) -> None:
    names = [f"2018-07-04T12_06_{second}.png" for second in ("59.900000", "59.950000")]
    names += ["2018-07-04T12_07_00.001000.png", "2018-07-04T12_07_00.200000.png"]
    (recording,) = open_poses(write(tmp_path / "a.json", [entry(name) for name in names]))
    assert [frame.number for frame in recording.frames()] == [0, 1, 2, 6]
    assert recording.fps == pytest.approx(1 / 0.051, rel=1e-3)


def test_recordings_are_told_apart_by_the_names_of_images(tmp_path: Path) -> None:
    names = ("walk_2.jpg", "run/0001.png", "walk_3.jpg", "run/0003.png")
    recordings = open_poses(write(tmp_path / "a.json", [entry(name) for name in names]))
    numbers = {r.name: [frame.number for frame in r.frames()] for r in recordings}
    assert numbers == {"walk": [2, 3], "run": [1, 3]}


@pytest.mark.parametrize(("group", "key"), [("people", "pose_keypoints_2d"), ("bodies", "joints")])
def test_objects_with_a_member_an_image(tmp_path: Path, group: str, key: str) -> None:
    images = {
        f"{number}.jpg": {"version": "AlphaPose v0.3", group: [{key: keypoints(number, 18)}] * 2}
        for number in (4, 2)
    }
    (recording,) = open_poses(write(tmp_path / "a.json", images))
    assert recording.skeleton.name == "openpose18"
    frames = list(recording.frames())
    assert [(f.number, f.joints.shape, f.joints[1, 0, 0]) for f in frames] == [
        (2, (2, 18, 2), 2),
        (4, (2, 18, 2), 4),
    ]


def test_coco_results(tmp_path: Path) -> None:
    persons = [coco(7, 1, track_id=5), coco(9, 2, track_id=5), coco(9, 3, track_id=6)]
    (recording,) = open_poses(write(tmp_path / "a.json", persons), image_size=(480, 640))
    assert [frame.number for frame in recording.frames()] == [7, 9]
    assert tracks(recording) == [[5], [5, 6]]
    assert recording.image_size == (480, 640)


def test_keypoints_of_which_all_scores_are_zero_are_present(tmp_path: Path) -> None:
    values = [1.0, 2.0, 0.0] * 16 + [0.0, 0.0, 0.0]
    (recording,) = open_poses(write(tmp_path / "a.json", [coco(0) | {"keypoints": values}]))
    (frame,) = recording.frames()
    assert not recording.has_score
    np.testing.assert_array_equal(frame.scores[0], [1] * 16 + [0])


@pytest.mark.parametrize(
    ("persons", "error"),
    [
        ([entry("a.jpg") | {"keypoints": []}], r"frame 'a.jpg': the keypoints .* are \[\], not"),
        ([entry("a.jpg") | {"keypoints": "x"}], "not x, y and score"),
        ([entry("1.jpg"), entry("2.jpg", num_joints=26)], "has 26 joints .* have 17"),
        ([entry("a.jpg", num_joints=16)], r"16 joints a person.* coco17 \(17\), halpe26 \(26\)"),
        ([entry("a.jpg", float("nan"))], r"person 0, joint 0 is \[nan, 2.0\]"),
        ([entry(None)], "the image_id is None"),
        ([entry(-4)], "frame number -4"),
        ([entry(10**12)], "frame number 1000000000000"),
        ([entry("99999999999999999999999999.jpg")], "frame number 9999999"),
        ([entry("9" * 5000 + ".jpg")], "frame number 9{20} is not"),
        ([entry(1), entry(10**8)], "more than 10,000,000 frames"),
        ([entry("a.jpg"), 3], "the image_id is None"),
    ],
)
def test_persons_that_cannot_be_read(tmp_path: Path, persons: object, error: str) -> None:
    path = write(tmp_path / "a.json", persons)
    with pytest.raises(InputError, match=error) as raised:
        open_poses(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("size", [-1, -300, 700])
def test_truncated_files(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "a.json", [entry(f"{number}.jpg") for number in range(3)])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="damaged near byte"):
        open_poses(path)


def test_a_file_that_changes_after_it_was_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [entry(f"{number}.jpg") for number in range(3)])
    (recording,) = open_poses(path)
    path.write_bytes(path.read_bytes()[2000:])
    with pytest.raises(InputError, match="has changed while it was read"):
        list(recording.frames())


@pytest.mark.skipif(not GENUINE.is_dir(), reason="needs shared/data/poses")
def test_a_genuine_file() -> None:
    path = GENUINE / "Activity3_first120.json"
    (recording,) = open_poses(path)
    frames = list(recording.frames())
    persons = json.loads(path.read_text())
    images = sorted({person["image_id"] for person in persons})
    assert len(frames) == len(images) == 78
    assert sum(len(frame.joints) for frame in frames) == 120
    assert all(frame.tracks is None for frame in frames)
    for frame, image in zip(frames, images, strict=True):
        rows = [person["keypoints"] for person in persons if person["image_id"] == image]
        expected = np.float32(rows).reshape(len(rows), 17, 3)
        np.testing.assert_array_equal(frame.joints, expected[..., :2])
        np.testing.assert_array_equal(frame.scores, expected[..., 2])
