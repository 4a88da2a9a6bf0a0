"""Predictions for pose files, compared with those for arrays of the same joints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import finalize

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.pose_clip import collect_clip
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.recognition import Prediction, Recognizer
from pyg_stgcn.recognition.answers import Piece, answer_pieces
from pyg_stgcn.recognition.pose_files import PoseOptions, clips_of, fit_to_model, open_recordings
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.windows import Windows

SIZE = (480, 640)


@pytest.fixture(scope="module")
def recognizer(make_model_file: Callable[..., Path]) -> Recognizer:
    return Recognizer.load(make_model_file("coco17", planar=True))


@pytest.fixture(scope="module")
def solid(make_model_file: Callable[..., Path]) -> Recognizer:
    return Recognizer.load(make_model_file("ntu25", planar=False))


def body(frames: int, joints: int = 17, start: float = 100.0) -> NDArray[np.float32]:
    """A person who walks to the right, in pixels."""
    rng = np.random.default_rng(0)
    pose = start + rng.uniform(0, 150, (joints, 2))
    moved = pose + 3 * np.arange(frames)[:, None, None] * [1, 0]
    return (moved + rng.normal(0, 1, moved.shape)).astype(np.float32)


def write_openpose(folder: Path, people: NDArray[np.float32]) -> Path:
    """Write ``[T, M, 25, 3]`` as OpenPose does, one file a frame."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(people):
        content = {"people": [{"pose_keypoints_2d": person.ravel().tolist()} for person in frame]}
        path = folder / f"walk_{number:012}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, **content}))
    return folder


def test_a_file_is_as_its_array(recognizer: Recognizer, tmp_path: Path) -> None:
    poses = np.concatenate([body(20), np.full((20, 17, 1), 0.5, np.float32)], axis=-1)
    np.save(tmp_path / "a.npy", poses)
    np.save(tmp_path / "b.npy", poses[5:])
    first, second = (
        recognizer.predict(array, image_size=SIZE, num_views=3) for array in (poses, poses[5:])
    )
    for path in (tmp_path / "a.npy", str(tmp_path / "a.npy")):
        found = recognizer.predict(path, image_size=SIZE, num_views=3)
        assert isinstance(found, Prediction) and found.num_persons == 1
        np.testing.assert_allclose(found.probabilities, first.probabilities, atol=1e-6)
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for several in (paths, map(str, paths), tmp_path):
        found = recognizer.predict(several, image_size=SIZE, num_views=3)
        for one, expected in zip(found, (first, second), strict=True):
            np.testing.assert_allclose(one.probabilities, expected.probabilities, atol=1e-6)
    (alone,) = recognizer.predict(paths[1], image_size=SIZE, num_views=3, per_person=True)
    np.testing.assert_allclose(alone.probabilities, second.probabilities, atol=1e-6)


def test_joints_are_taken_by_name(recognizer: Recognizer, tmp_path: Path) -> None:
    whole = np.concatenate([body(16, 25), np.full((16, 25, 1), 0.7, np.float32)], axis=-1)
    folder = write_openpose(tmp_path / "walk", whole[:, None])
    source, target = get_skeleton("openpose25"), get_skeleton("coco17")
    numbers = [source.joints.index(joint) for joint in target.joints]
    expected = recognizer.predict(whole[:, numbers], image_size=SIZE)
    found = recognizer.predict(folder, image_size=SIZE)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)


def test_windows_are_pieces_of_the_recording(recognizer: Recognizer, tmp_path: Path) -> None:
    people = np.stack([body(50, 25), body(50, 25, start=300)], axis=1)
    people = np.concatenate([people, np.ones((*people.shape[:3], 1), np.float32)], axis=-1)
    folder = write_openpose(tmp_path / "walk", people)
    options = PoseOptions(image_size=SIZE, fps=10, windows=Windows.parse("2s/1s"))
    (recording,) = open_recordings(folder, recognizer.about, options)
    recording = fit_to_model(recording, recognizer.about)
    windows = list(clips_of(recording, options))
    assert [(clip.first_frame, clip.last_frame) for clip in windows] == [
        (0, 19),
        (10, 29),
        (20, 39),
        (30, 49),
    ]
    assert [(clip.start, clip.end) for clip in windows[:2]] == [(0, 2), (1, 3)]
    whole = collect_clip(recording).to_array()
    for clip, found in zip(windows, recognizer.predict(windows), strict=True):
        part = whole[:, clip.first_frame : clip.last_frame + 1]
        expected = recognizer.predict(part, image_size=SIZE)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)


def test_few_windows_are_in_memory_at_once(recognizer: Recognizer) -> None:
    people = np.stack([body(20), body(20, start=300)], axis=1)
    alive, most = 0, 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def frames() -> Iterator[Frame]:
        for number in range(1000):
            yield Frame(number, people[number % 20], np.ones((2, 17), np.float32))

    def pieces() -> Iterator[Piece]:
        nonlocal alive, most
        for clip in clips_of(recording, PoseOptions(windows=Windows.parse("10/10"))):
            alive += 1
            most = max(most, alive)
            finalize(clip, gone)
            yield Piece.of(clip, Path("long"))

    layout = get_skeleton("coco17")
    recording = Recording("long", Path("long"), layout, frames, 2, True, image_size=SIZE)
    answers = list(answer_pieces(recognizer, pieces(), num_views=1))
    assert len(answers) == 100 and most <= 64


def test_what_the_model_cannot_read(
    recognizer: Recognizer, solid: Recognizer, tmp_path: Path
) -> None:
    np.save(tmp_path / "flat.npy", body(20))
    with pytest.raises(InputError, match=r"flat.npy: .*image_size"):
        recognizer.predict(tmp_path / "flat.npy")
    with pytest.raises(InputError, match=r"the model reads 3-D joints \(x, y, z\); these are 2-D"):
        solid.predict(write_openpose(tmp_path / "walk", np.full((3, 1, 25, 3), 300.0)))
    rng = np.random.default_rng(0)
    np.save(tmp_path / "solid.npy", rng.normal(size=(20, 25, 3)).astype(np.float32))
    with pytest.raises(InputError, match=r"solid.npy: .*these are 3-D"):
        recognizer.predict(tmp_path / "solid.npy", image_size=SIZE)
    with pytest.raises(InputError, match="there is no such file"):
        recognizer.predict(tmp_path / "none.npy")
    with pytest.raises(InputError, match=r"holds 2 recordings"):
        np.savez(tmp_path / "two.npz", a=body(20), b=body(20))
        recognizer.predict([tmp_path / "two.npz"], image_size=SIZE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty"):
        recognizer.predict(tmp_path / "empty")


def test_another_order_of_the_same_joints_is_told(
    recognizer: Recognizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    coco = get_skeleton("coco17")
    description = coco.to_dict()
    description.update(name="reversed", joints=description["joints"][::-1])
    own = Skeleton.from_dict(description)
    about = {**recognizer.about, "skeleton": own.to_dict()}
    np.save(tmp_path / "a.npy", body(20))
    options = PoseOptions(skeleton=own, image_size=SIZE)
    (recording,) = open_recordings(tmp_path / "a.npy", about, options)
    assert recording.skeleton == own and not caplog.messages
    (recording,) = open_recordings(tmp_path / "a.npy", about, PoseOptions(image_size=SIZE))
    assert recording.skeleton == coco
    assert "'coco17'" in caplog.messages[0] and "'reversed'" in caplog.messages[0]
