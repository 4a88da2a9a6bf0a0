"""Landmarks in JSON, in the forms that people write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import Recording, list_recordings, open_poses
from pyg_stgcn.skeletons import get_skeleton

RNG = np.random.default_rng(0)
SIZE = (480, 640)
#: Frames of 33 landmarks with x, y, z, visibility.
CLIP = RNG.uniform(0.1, 0.9, (5, 33, 4)) - (0, 0, 0.5, 0)
NAMES = [joint.upper() for joint in get_skeleton("blazepose33").joints]


def objects(landmarks: NDArray[Any], keys: str = "x y z visibility") -> list[dict[str, float]]:
    return [dict(zip(keys.split(), row, strict=False)) for row in landmarks.tolist()]


def save(folder: Path, content: Any) -> Path:
    path = folder / "squat.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def check(recording: Recording, clip: NDArray[Any] = CLIP) -> None:
    assert recording.skeleton.name == "blazepose33"
    joints = np.stack([frame.joints[0] for frame in recording.frames()])
    scores = np.stack([frame.scores[0] for frame in recording.frames()])
    np.testing.assert_allclose(joints, clip[..., :2] * SIZE[::-1], rtol=1e-5)
    np.testing.assert_allclose(scores, clip[..., 3], rtol=1e-5)


FRAMES = [objects(landmarks) for landmarks in CLIP]


@pytest.mark.parametrize(
    "content",
    [
        FRAMES,
        CLIP.tolist(),
        [{"frame": i, "landmarks": one} for i, one in enumerate(FRAMES)],
        [{"frame_id": i, "landmarks": one.tolist()} for i, one in enumerate(CLIP)],
        [{"frame": i, "landmarks": one.reshape(-1).tolist()} for i, one in enumerate(CLIP)],
        [{"pose_landmarks": {"landmark": one}} for one in FRAMES],
        [{"pose_landmarks": [one], "pose_world_landmarks": [one]} for one in FRAMES],
        [{"landmarks": [one], "worldLandmarks": [one]} for one in FRAMES],
        [dict(zip(NAMES, one, strict=True)) for one in FRAMES],
        [{"landmarks": dict(zip(NAMES[::-1], one[::-1], strict=True))} for one in FRAMES],
        [[{"name": n, **p} for n, p in zip(NAMES, one, strict=True)][::-1] for one in FRAMES],
        {"frames": [{"poseLandmarks": one} for one in FRAMES]},
        {"metadata": {"width": 640, "height": 480}, "frames": FRAMES},
        {str(i): one for i, one in enumerate(FRAMES)},
        "\n".join(json.dumps({"frame": i, "landmarks": one}) for i, one in enumerate(FRAMES)),
    ],
    ids=[
        *("landmarks", "numbers", "objects", "rows", "flat", "solutions", "tasks", "javascript"),
        *("by name", "names in another order", "names inside", "frames", "metadata", "by number"),
        "lines",
    ],
)
def test_forms_of_body_landmarks(tmp_path: Path, content: Any) -> None:
    path = save(tmp_path, content)
    (recording,) = open_poses(path, image_size=SIZE, fps=25)
    check(recording)
    assert (recording.name, recording.num_frames, recording.fps) == ("squat", 5, 25)
    assert (recording.num_channels, recording.has_score) == (2, True)
    assert list_recordings(tmp_path) == [path]


def test_size_and_rate_in_the_file_come_first(tmp_path: Path) -> None:
    video = {"fps": 30.0, "width": 640, "height": 480}
    for content in ({**video, "frames": FRAMES}, {"frames": FRAMES, "video": video}):
        (recording,) = open_poses(save(tmp_path, content), image_size=(1, 1), fps=1)
        check(recording)
        assert (recording.image_size, recording.fps) == (SIZE, 30)
    with pytest.raises(InputError, match=r"x and y are fractions .* give image_size, the height"):
        open_poses(save(tmp_path, FRAMES))


def test_frames_without_persons_and_gaps(tmp_path: Path) -> None:
    content = [None, FRAMES[0], [], {}, {"pose_landmarks": None}, {"landmarks": FRAMES[1]}]
    (recording,) = open_poses(save(tmp_path, content), image_size=SIZE)
    assert [len(frame.joints) for frame in recording.frames()] == [0, 1, 0, 0, 0, 1]
    content = [{"frame": 5 * i, "landmarks": one} for i, one in enumerate(FRAMES)]
    (recording,) = open_poses(save(tmp_path, content), image_size=SIZE)
    assert [frame.number for frame in recording.frames()] == [0, 5, 10, 15, 20]
    assert (recording.step, recording.num_frames) == (5, 5)
    with pytest.raises(InputError, match="no person in 2 frames"):
        open_poses(save(tmp_path, [{"landmarks": []}, {"landmarks": []}]))
    with pytest.raises(InputError, match="frame 5 comes after frame 10; sort the frames"):
        open_poses(save(tmp_path, [content[2], content[1]]), image_size=SIZE)


def test_a_file_a_frame(tmp_path: Path) -> None:
    folder = tmp_path / "squat"
    folder.mkdir()
    for number, one in enumerate(FRAMES):
        (folder / f"frame_{number:04d}.json").write_text(json.dumps({"landmarks": one}))
    (recording,) = open_poses(folder, image_size=SIZE)
    check(recording)
    assert recording.name == "squat"
    assert list_recordings(tmp_path) == [folder]


def test_world_landmarks_are_in_space(tmp_path: Path) -> None:
    world = RNG.uniform(-0.8, 0.8, (5, 33, 4)) ** np.array([1, 1, 1, 2])
    content = [{"pose_world_landmarks": objects(one)} for one in world]
    (recording,) = open_poses(save(tmp_path, content))
    assert (recording.num_channels, recording.image_size) == (3, None)
    joints = np.stack([frame.joints[0] for frame in recording.frames()])
    np.testing.assert_allclose(joints, world[..., :3], rtol=1e-6)


def test_numbers_that_are_zero_may_be_left_out(tmp_path: Path) -> None:
    frames = [objects(one) for one in CLIP]
    del frames[2][4]["visibility"], frames[2][4]["z"]
    (recording,) = open_poses(save(tmp_path, frames), image_size=SIZE)
    scores = [frame.scores[0, 4] for frame in recording.frames()]
    assert np.flatnonzero(scores).tolist() == [0, 1, 3, 4]


HANDS = RNG.uniform(0.1, 0.9, (5, 2, 21, 3)) - (0, 0, 0.5)
MEDIAPIPE = [[objects(hand, "x y z") for hand in frame] for frame in HANDS]


@pytest.mark.parametrize(
    ("content", "tracks"),
    [
        ([{"hand_landmarks": one} for one in MEDIAPIPE], None),
        (
            [
                {"multi_hand_landmarks": [{"landmark": hand} for hand in one],
                 "multi_handedness": [{"classification": [{"label": side, "score": 1}]}
                                      for side in ("Right", "Left")]}
                for one in MEDIAPIPE
            ],
            [1, 0],
        ),
        (
            [
                {"landmarks": one, "handedness": [[{"categoryName": "Left"}],
                                                  [{"categoryName": "Right"}]]}
                for one in MEDIAPIPE
            ],
            [0, 1],
        ),
        ([{"left_hand_landmarks": a, "right_hand_landmarks": b} for a, b in MEDIAPIPE], [0, 1]),
        (
            [[{"hand": "Left", "landmarks": one}, {"hand": "Right", "landmarks": other}]
             for one, other in HANDS.tolist()],
            [0, 1],
        ),
    ],
    ids=["tasks", "solutions", "javascript", "holistic", "own"],
)  # fmt: skip
def test_hands_are_persons(tmp_path: Path, content: Any, tracks: list[int] | None) -> None:
    (recording,) = open_poses(save(tmp_path, content), image_size=SIZE)
    assert (recording.skeleton.name, recording.num_channels) == ("hand21", 2)
    for frame, hands in zip(recording.frames(), HANDS, strict=True):
        np.testing.assert_allclose(frame.joints, hands[..., :2] * SIZE[::-1], rtol=1e-5)
        assert (None if frame.tracks is None else frame.tracks.tolist()) == tracks


def test_hands_are_not_taken_for_a_body(tmp_path: Path) -> None:
    content = [
        {"pose_landmarks": body, "left_hand_landmarks": hand}
        for body, (hand, _) in zip([*FRAMES[:4], None], MEDIAPIPE, strict=True)
    ]
    (recording,) = open_poses(save(tmp_path, content), image_size=SIZE)
    assert recording.skeleton.name == "blazepose33"
    assert [len(frame.joints) for frame in recording.frames()] == [1, 1, 1, 1, 0]


def test_visibility_of_hands_is_never_filled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = [
        {
            "hand_landmarks": [
                [{**p, "visibility": 0.0, "presence": 0.0} for p in hand] for hand in f
            ]
        }
        for f in MEDIAPIPE
    ]
    (recording,) = open_poses(save(tmp_path, content), image_size=SIZE)
    assert not recording.has_score
    assert all(frame.scores.all() for frame in recording.frames())
    assert "all scores are 0" in caplog.text


def test_poses_with_names_and_identities(tmp_path: Path) -> None:
    joints = get_skeleton("coco17").joints
    clip = RNG.uniform(10, 400, (4, 2, 17, 3)) / (1, 1, 500)
    content = [
        [
            {"id": 7 + m, "keypoints": [
                {"name": name, **dict(zip(("x", "y", "score"), row, strict=True))}
                for name, row in zip(joints, person.tolist(), strict=True)
            ]}
            for m, person in enumerate(persons)
        ]
        for persons in clip
    ]  # fmt: skip
    (recording,) = open_poses(save(tmp_path, content))
    assert recording.skeleton.name == "coco17"
    for frame, persons in zip(recording.frames(), clip, strict=True):
        np.testing.assert_allclose(frame.joints, persons[..., :2], rtol=1e-6)
        assert frame.tracks is not None
        assert frame.tracks.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(FRAMES)[:-50], "damaged near byte"),
        ([FRAMES[0], MEDIAPIPE[0][0]], "frame 1: a person has 21 joints .*, while others have 33"),
        ([[{**FRAMES[0][0], "x": "left"}, *FRAMES[0][1:]]], "frame 0: a landmark has values that"),
        (
            [FRAMES[0], [{**p, "x": None} for p in FRAMES[1]]],
            r"frame 1: nose of person 0 is \(nan,",
        ),
        ([one[:13] for one in FRAMES], "13 joints in [23]-D, whose layout cannot be told"),
    ],
)
def test_damaged_files(tmp_path: Path, content: Any, message: str) -> None:
    path = save(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        list(open_poses(path, image_size=SIZE)[0].frames())
    assert str(caught.value).startswith(f"{path}: ")


def test_numbers_of_frames_are_no_identities(tmp_path: Path) -> None:
    content = [{"id": i, "landmarks": one} for i, one in enumerate(FRAMES)]
    (recording,) = open_poses(save(tmp_path, content), image_size=SIZE)
    assert all(frame.tracks is None for frame in recording.frames())


def test_a_box_of_a_person_is_no_size_of_the_image(tmp_path: Path) -> None:
    box = {"width": 30.0, "height": 50.0}
    content = [{"landmarks": one, "bbox": box, "image_width": 640} for one in FRAMES]
    with pytest.raises(InputError, match="does not contain its size"):
        open_poses(save(tmp_path, content))
    content = [{**one, "image_height": 480} for one in content]
    check(open_poses(save(tmp_path, content))[0])


def test_a_recording_without_a_person_does_not_hide_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, landmarks in enumerate(FRAMES):
        (tmp_path / f"seen_{number}.json").write_text(json.dumps({"landmarks": landmarks}))
        (tmp_path / f"empty_{number}.json").write_text(json.dumps({"landmarks": []}))
    (recording,) = open_poses(tmp_path, image_size=SIZE)
    assert recording.name == "seen"
    assert "left out" in caplog.text and "no person in 5 frames" in caplog.text


@pytest.mark.parametrize(
    ("opening", "closing"), [('{"frames": ', "}"), ('[{"landmarks": ', "}]"), ("[[", "]]")]
)
def test_deep_nesting_is_refused(tmp_path: Path, opening: str, closing: str) -> None:
    frames = json.dumps([{"landmarks": FRAMES[0]}])
    path = save(tmp_path, opening * 2000 + frames + closing * 2000)
    with pytest.raises(InputError, match=r"nested too deeply|recursion"):
        open_poses(path, image_size=SIZE)


def test_slow_frame_rates_count_and_impossible_ones_do_not(tmp_path: Path) -> None:
    for fps, expected in ((1, 1), (0.5, 0.5), (10**9, 25), (True, 25)):
        content = {"fps": fps, "frames": [{"landmarks": one} for one in FRAMES]}
        (recording,) = open_poses(save(tmp_path, content), image_size=SIZE, fps=25)
        assert recording.fps == expected


def test_the_size_of_a_box_is_not_that_of_the_image(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = CLIP * (*SIZE[::-1], 1, 1)
    frames = [
        {"frame": i, "width": 50, "height": 100, "landmarks": one}
        for i, one in enumerate(map(objects, pixels))
    ]
    (recording,) = open_poses(save(tmp_path, frames), image_size=SIZE)
    assert recording.image_size == SIZE
    assert "50 x 100 pixels" in caplog.text
    frames[0].update(width=640, height=480)
    (recording,) = open_poses(save(tmp_path, frames))
    assert recording.image_size == SIZE
