"""Results of Ultralytics, in files as its own code writes them: https://docs.ultralytics.com."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import list_recordings, open_poses

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 480, 640
#: Frames, persons, joints and x, y, score.
CLIP = RNG.uniform(10, 470, (4, 2, 17, 3)) * (1, 1, 1 / 500)
CLIP[1, 0, 3, :2] = 0  # Ultralytics does so below a score of 0.5, and keeps the score.


def expected(clip: NDArray[Any] = CLIP) -> NDArray[np.float64]:
    return np.where(clip[..., :2].any(axis=-1, keepdims=True), clip, 0)


def label(person: NDArray[Any], *rest: object, scores: bool = True) -> str:
    """A line of ``save_txt``: class, box, keypoints, and what follows."""
    points = person / (WIDTH, HEIGHT, 1) if scores else person[:, :2] / (WIDTH, HEIGHT)
    numbers = [f"{number:g}" for number in (0, 0.5, 0.5, 0.25, 0.75, *points.reshape(-1))]
    return " ".join([*numbers, *map(str, rest)])


def write_labels(folder: Path, line: Callable[[int, NDArray[Any]], str]) -> Path:
    folder.mkdir()
    for frame, persons in enumerate(CLIP):
        lines = [line(number, person) for number, person in enumerate(persons)]
        (folder / f"walk_{frame + 1}.txt").write_text("\n".join(lines) + "\n")
    return folder


def check(path: Path, *, tracks: list[int] | None, rtol: float = 1e-6, **hints: Any) -> None:
    (recording,) = open_poses(path, **hints)
    assert recording.skeleton.name == "coco17"
    for frame, persons in zip(recording.frames(), expected(), strict=True):
        np.testing.assert_allclose(frame.joints, persons[..., :2], rtol=rtol)
        np.testing.assert_allclose(frame.scores, persons[..., 2], rtol=rtol)
        assert (None if frame.tracks is None else frame.tracks.tolist()) == tracks


@pytest.mark.parametrize(
    ("rest", "tracks"),
    [((), None), ((0.87,), None), ((0.87, "{}"), [5, 6]), (("{}",), [5, 6])],
    ids=["plain", "save_conf", "save_conf and track", "track"],
)
def test_labels(tmp_path: Path, rest: tuple[object, ...], tracks: list[int] | None) -> None:
    folder = write_labels(
        tmp_path / "labels",
        lambda number, person: label(person, *(str(one).format(number + 5) for one in rest)),
    )
    check(folder, tracks=tracks, rtol=1e-4, image_size=(HEIGHT, WIDTH))
    (recording,) = open_poses(folder, image_size=(HEIGHT, WIDTH), fps=25)
    assert [frame.number for frame in recording.frames()] == [1, 2, 3, 4]
    assert (recording.num_frames, recording.fps, recording.has_score) == (4, 25, True)
    assert list_recordings(tmp_path) == [folder]
    with pytest.raises(InputError, match=r"fractions of the image, and not its size; give image_"):
        open_poses(folder)


def test_frames_before_the_tracker_knew_anyone(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels", lambda number, person: label(person, number + 5))
    (folder / "walk_1.txt").write_text(label(CLIP[0, 0]) + "\n")
    (folder / "walk_2.txt").write_text(f"{label(CLIP[1, 0], 5)}\n{label(CLIP[1, 1], 5)}\n")
    frames = open_poses(folder, image_size=(HEIGHT, WIDTH))[0].frames()
    tracks = [frame.tracks.tolist() for frame in frames if frame.tracks is not None]
    assert tracks == [[-1], [5, -1], [5, 6], [5, 6]]


def test_labels_without_scores_and_of_other_layouts(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "a", lambda _, person: label(person, scores=False))
    (recording,) = open_poses(folder, image_size=(HEIGHT, WIDTH))
    assert not recording.has_score
    frame = next(recording.frames())
    np.testing.assert_allclose(frame.joints, CLIP[0, ..., :2], rtol=1e-4)
    hands = RNG.uniform(10, 400, (21, 3)) / (1, 1, 500)
    folder = write_labels(tmp_path / "b", lambda *_: label(hands))
    assert open_poses(folder, image_size=(HEIGHT, WIDTH))[0].skeleton.name == "hand21"
    with pytest.raises(InputError, match=r"63 numbers after .* do not fit the joints of skeleton"):
        open_poses(folder, image_size=(HEIGHT, WIDTH), skeleton="coco17")


def test_labels_for_training_have_visibilities(tmp_path: Path) -> None:
    person = CLIP[0, 0].copy()
    person[:, 2] = [0, 1, *[2] * 15]
    folder = write_labels(tmp_path / "labels", lambda *_: label(person))
    frame = next(open_poses(folder, image_size=(HEIGHT, WIDTH))[0].frames())
    assert frame.scores[0].tolist() == [0, *[1] * 16]


def test_damaged_labels(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels", lambda _, person: label(person))
    file = folder / "walk_3.txt"
    text = file.read_text()
    for damaged, message in ((text[:300], "a line of"), (text.replace("0.", "a."), "not numbers")):
        file.write_text(damaged)
        with pytest.raises(InputError, match=rf"^{file}: .*{message}"):
            list(open_poses(folder, image_size=(HEIGHT, WIDTH))[0].frames())


def test_two_videos_in_one_folder(tmp_path: Path) -> None:
    folder = write_labels(tmp_path / "labels", lambda _, person: label(person))
    (folder / "run_7.txt").write_text(label(CLIP[0, 0]))
    found = open_poses(folder, image_size=(HEIGHT, WIDTH))
    assert {recording.name: recording.num_frames for recording in found} == {"run": 1, "walk": 4}


def summary(persons: NDArray[Any], *, scale: Any = 1, first_track: int | None = None) -> list[Any]:
    """What ``Results.summary`` gives for a frame."""
    found = []
    for number, person in enumerate(persons):
        points = person / scale
        entry: dict[str, Any] = {"name": "person", "class": 0, "confidence": 0.9}
        entry["box"] = {"x1": 1.0, "y1": 2.0, "x2": 300.0, "y2": 400.0}
        if first_track is not None:
            entry["track_id"] = first_track + number
        x, y, visible = points.T.tolist()
        found.append(entry | {"keypoints": {"x": x, "y": y, "visible": visible}})
    return found


FRAMES = [summary(persons) for persons in CLIP]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(FRAMES),
        json.dumps(FRAMES, indent=2),
        json.dumps({f"frame_{number}": frame for number, frame in enumerate(FRAMES)}),
        json.dumps({"frames": [{"frame": i, "detections": one} for i, one in enumerate(FRAMES)]}),
        json.dumps([{"frame": i, **one} for i, frame in enumerate(FRAMES) for one in frame]),
        "\n".join(map(json.dumps, FRAMES)) + "\n",
    ],
    ids=["list", "indented", "by number", "objects", "flat", "lines"],
)
def test_results_of_all_frames(tmp_path: Path, text: str) -> None:
    path = tmp_path / "walk.json"
    path.write_text(text)
    check(path, tracks=None)
    assert list_recordings(tmp_path) == [path]


def test_results_with_tracks_in_fractions(tmp_path: Path) -> None:
    path = tmp_path / "walk.json"
    frames = [summary(one, scale=(WIDTH, HEIGHT, 1), first_track=5) for one in CLIP]
    path.write_text(json.dumps(frames))
    check(path, tracks=[5, 6], image_size=(HEIGHT, WIDTH))
    with pytest.raises(InputError, match="x and y are fractions of the image"):
        open_poses(path)


def test_results_in_a_file_a_frame(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    for number, frame in enumerate(FRAMES):
        (folder / f"walk_{number:06d}.json").write_text(json.dumps(frame, indent=2))
    (folder / "walk_000009.json").write_text("[]")
    (recording,) = open_poses(folder)
    assert [len(frame.joints) for frame in recording.frames()] == [2, 2, 2, 2, 0]
    assert [frame.number for frame in recording.frames()] == [0, 1, 2, 3, 9]
    assert recording.num_frames == 10
    assert list_recordings(tmp_path) == [folder]


def test_frames_without_persons(tmp_path: Path) -> None:
    path = tmp_path / "walk.json"
    path.write_text(json.dumps([[], FRAMES[0], [], FRAMES[1]]))
    (recording,) = open_poses(path)
    assert [len(frame.joints) for frame in recording.frames()] == [0, 2, 0, 2]
    path.write_text(json.dumps([FRAMES[0], FRAMES[1]])[:-40])
    with pytest.raises(InputError, match=rf"^{path}: damaged"):
        open_poses(path)


@pytest.mark.parametrize("number", [float, str, "frame_{:04d}".format, "{:06d}.jpg".format])
def test_frame_numbers_that_are_no_integers(
    tmp_path: Path, number: Callable[[int], object]
) -> None:
    """As pandas writes a column with gaps, or of texts."""
    entries = [
        {"frame": number(10 + 2 * frame), "keypoints": {"x": x, "y": y}}
        for frame, persons in enumerate(CLIP)
        for x, y, _ in persons.transpose(0, 2, 1).tolist()
    ]
    path = tmp_path / "walk.json"
    path.write_text(json.dumps(entries))
    (recording,) = open_poses(path)
    assert [frame.number for frame in recording.frames()] == [10, 12, 14, 16]
    assert [len(frame.joints) for frame in recording.frames()] == [2] * 4


@pytest.mark.parametrize("word", ["nan", "inf"])
def test_other_text_files_of_numbers_are_no_labels(tmp_path: Path, word: str) -> None:
    write_labels(tmp_path / "walk", lambda _, person: label(person))
    (tmp_path / "losses.txt").write_text(f"{word} " * 20 + "\n")
    assert list_recordings(tmp_path) == [tmp_path / "walk"]


@pytest.mark.parametrize("tracked", [False, True])
def test_a_confidence_of_one_is_no_identity(tmp_path: Path, tracked: bool) -> None:
    def line(number: int, person: NDArray[Any]) -> str:
        confidence = 1 if number else 0.93
        return label(person, confidence, *([7 + number] if tracked else []))

    folder = write_labels(tmp_path / "walk", line)
    tracks = [7, 8] if tracked else None
    check(folder, tracks=tracks, rtol=1e-4, image_size=(HEIGHT, WIDTH))
