"""The package's own pose files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn import get_skeleton
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import Frame, Recording, open_poses, write_poses
from pyg_stgcn.skeletons import Skeleton

#: A layout that is not built in.
CAT = Skeleton("cat", ("nez", "tête", 'a "tail"'), ((0, 1), (2, 1)), 1)


def recording(frames: list[Frame], skeleton: Skeleton = CAT, **more: object) -> Recording:
    values = {
        "name": "b\u00e9b\u00e9 \udcff",
        "path": Path("any"),
        "skeleton": skeleton,
        "frames": lambda: iter(frames),
        "num_channels": frames[0].joints.shape[2],
        "has_score": True,
        "image_size": (480.5, 640),
        "fps": 29.97,
        "num_frames": 70,
        "step": 10,
    }
    return Recording(**{**values, **more})  # type: ignore[arg-type]


def random_frames(axes: int, has_tracks: bool, scale: float = 1e3) -> list[Frame]:
    """Frames with gaps and with none, one or two persons; some joints are missing."""
    rng = np.random.default_rng(7)
    frames = []
    for number, persons in ((10, 2), (20, 0), (40, 1)):
        scores = (rng.random((persons, 3)) + 0.05).astype(np.float32)
        scores[:, 1] = 0
        joints = ((rng.random((persons, 3, axes)) - 0.5) * scale).astype(np.float32)
        tracks = np.arange(persons) * 2**40 if has_tracks else None
        joints[scores == 0] = 0
        frames.append(Frame(number, joints, scores, tracks))
    return frames


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("has_tracks", [False, True])
@pytest.mark.parametrize("scale", [1e3, 1e-38, 3e38])
def test_what_is_written_is_read_exactly(
    tmp_path: Path, axes: int, has_tracks: bool, scale: float
) -> None:
    frames = random_frames(axes, has_tracks, scale)
    size = None if axes == 3 else (480.5, 640)
    original = recording(frames, image_size=size)
    write_poses(original, tmp_path / "poses.json")
    (again,) = open_poses(tmp_path / "poses.json", image_size=(1, 2), fps=3)
    for field in fields(Recording):
        if field.name not in ("path", "frames"):
            assert getattr(again, field.name) == getattr(original, field.name), field.name
    for frame, expected in zip(again.frames(), frames, strict=True):
        assert frame.number == expected.number
        assert frame.joints.tobytes() == expected.joints.tobytes()
        assert frame.scores.tobytes() == expected.scores.tobytes()
        assert frame.joints.shape == expected.joints.shape
        if not has_tracks:
            assert frame.tracks is None
        else:
            assert frame.tracks is not None and expected.tracks is not None
            np.testing.assert_array_equal(frame.tracks, expected.tracks)


def test_a_joint_at_the_origin_without_scores(tmp_path: Path) -> None:
    joints = np.zeros((1, 3, 2), np.float32)
    scores = np.array([[1, 1, 0]], np.float32)
    original = recording([Frame(0, joints, scores)], has_score=False, num_frames=None, fps=None)
    write_poses(original, tmp_path / "a.json")
    (again,) = open_poses(tmp_path / "a.json", fps=25)
    assert (again.has_score, again.fps, again.num_frames) == (False, 25, 1)
    assert next(again.frames()).scores.tolist() == [[1, 1, 0]]


def test_nothing_is_left_of_a_recording_that_cannot_be_read(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield random_frames(2, True)[0]
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        write_poses(replace(recording(random_frames(2, True)), frames=frames), tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="there is no folder"):
        write_poses(recording(random_frames(2, True)), tmp_path / "none" / "a.json")


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("fps", -1, "fps is -1"),
        ("step", 0, "step is 0"),
        ("image_size", [1], r"image_size is \[1\], not height and width"),
        ("has_score", 1, "has_score is 1"),
        ("skeleton", {}, "skeleton: name: this field is missing"),
        ("skeleton", get_skeleton("coco17").to_dict(), "describes 17 joints, but persons have 3"),
    ],
)
def test_wrong_descriptions(tmp_path: Path, key: str, value: object, error: str) -> None:
    path = tmp_path / "a.json"
    write_poses(recording(random_frames(2, False)), path)
    content = json.loads(path.read_text())
    content["meta_info"][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=error) as raised:
        open_poses(path)
    assert str(path) in str(raised.value)


def test_identities_of_some_persons_are_written(tmp_path: Path) -> None:
    frames = random_frames(2, has_tracks=True)
    frames[0] = frames[0]._replace(tracks=np.array([-1, 3]))
    write_poses(recording(frames), tmp_path / "poses.json")
    (again,) = open_poses(tmp_path / "poses.json")
    tracks = [one.tracks.tolist() for one in again.frames() if one.tracks is not None]
    assert tracks == [[-1, 3], [], [0]]


def test_sizes_and_rates_may_be_numbers_of_numpy(tmp_path: Path) -> None:
    size = np.int64(480), np.int64(640)
    frames = random_frames(2, has_tracks=False)
    original = recording(frames, image_size=size, fps=np.float32(25))
    write_poses(original, tmp_path / "poses.json")
    (again,) = open_poses(tmp_path / "poses.json")
    assert (again.image_size, again.fps) == ((480, 640), 25)
