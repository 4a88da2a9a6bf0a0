"""Wide tables: names of columns, order of rows, missing cells."""

from __future__ import annotations

import csv
import tracemalloc
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import open_poses
from pyg_stgcn.skeletons import Skeleton, get_skeleton

RNG = np.random.default_rng(0)
COCO = get_skeleton("coco17").joints
#: Frames, persons, joints and x, y, score.
CLIP = np.round(RNG.uniform(5, 400, (6, 2, 17, 3)) * (1, 1, 1 / 500), 6)


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], sep: str = ",") -> Path:
    lines = [sep.join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path


def columns(pattern: str, parts: str = "x y score", names: Sequence[str] = COCO) -> list[str]:
    """Names of columns, by a pattern of the joint's name or number and the coordinate."""
    return [
        pattern.format(joint=name, number=number, part=part)
        for number, name in enumerate(names)
        for part in parts.split()
    ]


def rows_of(clip: NDArray[Any], first: int = 0) -> list[list[Any]]:
    """Rows of frame, person and numbers."""
    return [
        [first + frame, person, *clip[frame, person].reshape(-1)]
        for frame in range(clip.shape[0])
        for person in range(clip.shape[1])
    ]


def read(path: Path, **hints: Any) -> NDArray[np.float32]:
    """All frames as ``[T, M, V, C + 1]``."""
    (recording,) = open_poses(path, **hints)
    return np.stack(
        [
            np.concatenate([frame.joints, frame.scores[..., None]], axis=-1)
            for frame in recording.frames()
        ]
    )


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("{joint}_{part}", "x y score"),
        ("{part}_{joint}", "x y confidence"),
        ("{joint}.{part}", "x y visibility"),
        ("{joint} {part}", "X Y likelihood"),
        ("{joint}_{part}", "x y c"),
        ("{part}_{number}", "x y visibility"),
        ("{part}{number}", "x y v"),
        ("{number}_{part}", "x y conf"),
        ("landmark_{number}_{part}", "x y presence"),
        ("keypoint{number}{part}", "X Y Score"),
    ],
)
@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_names_of_columns(tmp_path: Path, pattern: str, parts: str, sep: str) -> None:
    header = ["frame", "person", *columns(pattern, parts)]
    path = write(tmp_path / "walk.csv", header, rows_of(CLIP), sep)
    assert np.array_equal(read(path), CLIP.astype(np.float32))
    (recording,) = open_poses(path)
    assert (recording.name, recording.skeleton.name) == ("walk", "coco17")
    assert (recording.num_channels, recording.has_score, recording.num_frames) == (2, True, 6)
    assert all(np.array_equal(frame.tracks, [0, 1]) for frame in recording.frames())


def test_names_decide_the_order_and_the_layout(tmp_path: Path) -> None:
    names = ["LShoulder", "nose", "Right Shoulder", "lElbow", "elbow_r", "hat"]
    arms = Skeleton(
        "arms",
        ("nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
        ((1, 0), (2, 0), (3, 1), (4, 2)),
        0,
    )
    clip = RNG.uniform(5, 400, (4, 1, 6, 2))
    header = ["frame", "person", *columns("{joint}_{part}", "x y", names)]
    path = write(tmp_path / "a.csv", header, rows_of(clip))
    found = read(path, skeleton=arms)[..., :2]
    np.testing.assert_allclose(found, clip[:, :, [1, 0, 2, 3, 4]], rtol=1e-6)
    with pytest.raises(InputError, match=r"nearest is .*missing\. Describe the layout, with these"):
        open_poses(path)
    # The names in the file come before the layout that is named.
    whole = write(
        tmp_path / "b.csv", ["frame", "person", *columns("{joint}_{part}")], rows_of(CLIP)
    )
    (recording,) = open_poses(whole, skeleton="ntu25")
    assert recording.skeleton.name == "coco17"


def test_other_columns_are_left_out(tmp_path: Path) -> None:
    header = ["index", "bbox_x", "bbox_y", *columns("{joint}_{part}"), "label", "center_x"]
    rows = [[f, 1, 2, *person.reshape(-1), "wave", 3] for f, (person, _) in enumerate(CLIP)]
    assert np.array_equal(read(write(tmp_path / "a.csv", header, rows)), CLIP[:, :1].astype("f4"))


def test_rows_in_any_order_and_gaps(tmp_path: Path) -> None:
    rows = rows_of(CLIP, first=100)
    for row in rows:
        row[0] = 100 + 10 * (row[0] - 100)
    shuffled = [rows[i] for i in RNG.permutation(len(rows))]
    path = write(tmp_path / "a.csv", ["frame", "track_id", *columns("{joint}_{part}")], shuffled)
    (recording,) = open_poses(path, fps=30)
    assert (recording.num_frames, recording.step, recording.fps) == (6, 10, 30)
    for number, frame in enumerate(recording.frames()):
        assert frame.number == 100 + 10 * number
        assert frame.tracks is not None
        order = np.argsort(frame.tracks)
        assert np.array_equal(frame.joints[order], CLIP[number, ..., :2].astype(np.float32))
    by_person = sorted(rows, key=lambda row: row[1])
    path = write(tmp_path / "b.csv", ["frame", "track_id", *columns("{joint}_{part}")], by_person)
    assert np.array_equal(read(path), CLIP.astype(np.float32))


def test_empty_cells_are_missing_joints(tmp_path: Path) -> None:
    rows = rows_of(CLIP[:, :1])
    for missing, row in zip(["", "nan", "NaN", "null", "None", " "], rows, strict=True):
        row[2 + 3 * 4 : 2 + 3 * 5] = [missing] * 3
    header = ["frame", "person", *columns("{joint}_{part}")]
    found = read(write(tmp_path / "a.csv", header, rows))
    assert not found[:, :, 4].any()
    assert np.array_equal(np.delete(found, 4, 2), np.delete(CLIP[:, :1], 4, 2).astype("f4"))
    rows[3][2 + 3 * 9] = ""
    path = write(tmp_path / "b.csv", header, rows)
    with pytest.raises(InputError, match=r"frame 3 \(row 5\): left_wrist of person 0 is \(nan, "):
        read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[2].pop(), r"row 4 has 52 cells, the header has 53"),
        (lambda rows: rows[2].__setitem__(5, "left"), r"row 4, column 'left_eye_x' is 'left', not"),
        (lambda rows: rows[2].__setitem__(0, "first"), r"row 4, column 'frame' is 'first', which"),
        (lambda rows: rows[3].__setitem__(1, 0), "rows 4 and 5 are both person 0 of frame 1"),
        (lambda rows: rows.clear(), "has a header, but no rows"),
        (lambda rows: rows[2].__setitem__(0, "9" * 30), "row 4, column 'frame' is '9999"),
        (lambda rows: rows[2].__setitem__(0, "²"), "row 4, column 'frame' is '²', which"),
        (lambda rows: rows[2].__setitem__(0, -4), "frame number -4"),
    ],
)
def test_damaged_rows(tmp_path: Path, change: Any, message: str) -> None:
    rows = rows_of(CLIP)
    change(rows)
    path = write(tmp_path / "a.csv", ["frame", "person", *columns("{joint}_{part}")], rows)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["frame", "joint", "x", "y"], "has a row for every joint; put the joints of a frame into"),
        (["person", *columns("{joint}_{part}")], "has a column for the person, but none for the"),
        (["frame", "nose_x", "left_eye_x", "left_eye_y"], r"nearest is '\w+', of which .* missing"),
        (
            ["frame", *columns("{joint}_{part}", "x y")[:-1]],
            "'right_ankle' has a column for x, but",
        ),
        (["frame", *columns("{part}{number}", "x y", COCO[:13])], "13 joints in 2-D, whose layout"),
        (["frame", "x_0", "y_0", "x_5", "y_5"], "numbered from 0 to 5, but there are 2 of them"),
    ],
)
def test_headers_without_a_layout(tmp_path: Path, header: list[str], message: str) -> None:
    path = write(tmp_path / "a.csv", header, [[3] * len(header)])
    with pytest.raises(InputError, match=message):
        open_poses(path)


def test_decimal_commas_and_quotes(tmp_path: Path) -> None:
    header = ["frame", "person", *columns("{joint}_{part}")]
    rows = [[str(cell).replace(".", ",") for cell in row] for row in rows_of(CLIP)]
    assert np.array_equal(read(write(tmp_path / "a.csv", header, rows, ";")), CLIP.astype("f4"))
    path = tmp_path / "b.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows_of(CLIP)])
    assert np.array_equal(read(path), CLIP.astype("f4"))


def test_the_index_of_a_table_is_no_frame_where_there_are_frames(tmp_path: Path) -> None:
    rows = [[i, *row] for i, row in enumerate(rows_of(CLIP))]
    for name in ("", "index", "id"):
        header = [name, "frame", "person", *columns("{joint}_{part}")]
        assert np.array_equal(read(write(tmp_path / "a.csv", header, rows)), CLIP.astype("f4"))
    rows = [[10 * f, *CLIP[f, 0].reshape(-1)] for f in range(6)]
    (recording,) = open_poses(write(tmp_path / "b.csv", ["", *columns("{joint}_{part}")], rows))
    assert [frame.number for frame in recording.frames()] == list(range(0, 60, 10))


def test_images_and_times_in_place_of_frame_numbers(tmp_path: Path) -> None:
    names = columns("{joint}_{part}")
    rows = [[f"img_{7 + f:05d}.jpg", *CLIP[f, 0].reshape(-1)] for f in range(6)]
    (recording,) = open_poses(write(tmp_path / "a.csv", ["file_name", *names], rows))
    assert [frame.number for frame in recording.frames()] == list(range(7, 13))
    rows = [[0.04 * f, *CLIP[f, m].reshape(-1)] for f in range(6) for m in range(2)]
    (recording,) = open_poses(write(tmp_path / "b.csv", ["timestamp", *names], rows))
    assert [frame.number for frame in recording.frames()] == list(range(6))
    assert [len(frame.joints) for frame in recording.frames()] == [2] * 6
    rows = [list(CLIP[f, 0].reshape(-1)) for f in range(6)]
    assert np.array_equal(read(write(tmp_path / "c.csv", names, rows)), CLIP[:, :1].astype("f4"))


def test_a_table_of_several_recordings(tmp_path: Path) -> None:
    rows = [[video, *row] for video in ("wave", "run") for row in rows_of(CLIP)]
    header = ["video", "frame", "person", *columns("{joint}_{part}")]
    recordings = open_poses(write(tmp_path / "all.csv", header, rows))
    assert [recording.name for recording in recordings] == ["wave", "run"]
    for recording in recordings:
        joints = np.stack([frame.joints for frame in recording.frames()])
        assert np.array_equal(joints, CLIP[..., :2].astype(np.float32))


def test_identities_in_words_and_unknown_ones(tmp_path: Path) -> None:
    rows = rows_of(CLIP)
    for row in rows:
        row[1] = ("Ann", "Bob")[row[1]]
    header = ["frame", "person", *columns("{joint}_{part}")]
    (recording,) = open_poses(write(tmp_path / "a.csv", header, rows))
    assert all(np.array_equal(frame.tracks, [0, 1]) for frame in recording.frames())
    rows = rows_of(CLIP)
    rows[4][1] = ""
    (recording,) = open_poses(write(tmp_path / "b.csv", header, rows))
    tracks = [frame.tracks for frame in recording.frames()]
    assert np.array_equal(tracks[2], [-1, 1])
    assert np.array_equal(tracks[3], [0, 1])


def test_a_person_seen_in_few_rows_tells_the_unit_too(tmp_path: Path) -> None:
    rows: list[list[Any]] = [[number, 0, *[""] * 51] for number in range(2000)]
    rows[1001] = [1001, *rows_of(CLIP)[0][1:]]
    path = write(tmp_path / "a.csv", ["frame", "person", *columns("{joint}_{part}")], rows)
    (recording,) = open_poses(path)
    assert [frame.number for frame in recording.frames() if len(frame.joints)] == [1001]


@pytest.mark.parametrize("individuals", [1, 2])
def test_header_of_deeplabcut(tmp_path: Path, individuals: int) -> None:
    parts = ["x", "y", "likelihood"]
    columns = [
        (str(m), joint, part) for m in range(individuals) for joint in COCO for part in parts
    ]
    header = [["scorer", *(["DLC_resnet50"] * len(columns))]]
    if individuals > 1:
        header.append(["individuals", *(column[0] for column in columns)])
    header.append(["bodyparts", *(column[1] for column in columns)])
    header.append(["coords", *(column[2] for column in columns)])
    rows = [[f, *CLIP[f, :individuals].reshape(-1)] for f in range(6)]
    path = write(tmp_path / "DLC.csv", header[0], [*header[1:], *rows])
    assert np.array_equal(read(path), CLIP[:, :individuals].astype(np.float32))
    frame = next(open_poses(path)[0].frames())
    assert (frame.tracks is None) == (individuals == 1)


def test_landmarks_of_mediapipe(shared_data: Path) -> None:
    path = shared_data / "data/poses/mediapipe_csv/pose_landmarks.csv"
    with pytest.raises(InputError, match="give image_size, the height and width of the video"):
        open_poses(path)
    (recording,) = open_poses(path, image_size=(360, 640))
    assert (recording.skeleton.name, recording.step) == ("blazepose33", 10)
    assert recording.num_frames == 70
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    frames = list(recording.frames())
    assert [frame.number for frame in frames] == table[:, 0].tolist()
    raw = table[:, 1:].reshape(-1, 33, 4)
    joints = np.stack([frame.joints[0] for frame in frames])
    np.testing.assert_allclose(joints, raw[..., :2] * (640, 360), rtol=1e-5)
    scores = np.stack([frame.scores[0] for frame in frames])
    np.testing.assert_allclose(scores, raw[..., 3], rtol=1e-6)


def test_hands_are_persons(tmp_path: Path) -> None:
    names = [
        f"{side}_hand_{i}_{part}" for side in ("left", "right") for i in range(21) for part in "xyz"
    ]
    clip = RNG.uniform(0.2, 0.8, (5, 2, 21, 3)) * (1, 1, -0.1)
    clip[3, 0] = np.nan
    path = write(
        tmp_path / "a.csv", ["frame", *names], [[f, *clip[f].reshape(-1)] for f in range(5)]
    )
    (recording,) = open_poses(path, image_size=(100, 200))
    assert (recording.skeleton.name, recording.num_channels) == ("hand21", 2)
    tracks = [frame.tracks for frame in recording.frames()]
    assert [track.tolist() for track in tracks if track is not None] == [[0, 1]] * 3 + [[1], [0, 1]]
    body = columns("pose_{number}_{part}", "x y z visibility", ["-"] * 33)
    rows = [[f, *RNG.uniform(0.2, 0.8, 132), *clip[f].reshape(-1)] for f in range(5)]
    path = write(tmp_path / "b.csv", ["frame", *body, *names], rows)
    (recording,) = open_poses(path, image_size=(100, 200))
    assert recording.skeleton.name == "blazepose33"


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["frame", *columns("{joint}_{part}"), "note"], [])
    line = ",".join(map(str, CLIP[0, 0].reshape(-1)))
    with path.open("a") as file:
        file.writelines(f"{number},{line},{'x' * 20_000}\n" for number in range(400))
    size = path.stat().st_size
    tracemalloc.start()
    (recording,) = open_poses(path)
    deque(recording.frames(), maxlen=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4


def test_times_are_numbered_in_each_recording_and_keep_gaps(tmp_path: Path) -> None:
    """Two cameras with different rates; the first lost three frames, and is not quite regular."""
    times = {"a": [0, 0.041, 0.079, 0.12, 0.28, 0.321], "b": [5 + f / 30 for f in range(6)]}
    rows = [
        [video, time, *CLIP[frame, 0].reshape(-1)]
        for video, found in times.items()
        for frame, time in enumerate(found)
    ]
    names = ["video", "timestamp", *columns("{joint}_{part}")]
    first, second = open_poses(write(tmp_path / "all.csv", names, rows[::-1]))[::-1]
    assert [frame.number for frame in first.frames()] == [0, 1, 2, 3, 7, 8]
    assert [frame.number for frame in second.frames()] == list(range(6))
    joints = np.concatenate([frame.joints for frame in first.frames()])
    assert np.array_equal(joints, CLIP[:, 0, :, :2].astype("f4"))
    rows[3][1] = ""
    with pytest.raises(InputError, match="row 5, column 'timestamp' has no time"):
        open_poses(write(tmp_path / "all.csv", names, rows))


def test_an_empty_name_is_no_identity(tmp_path: Path) -> None:
    names = ["ann", "", "", "bob", "ann", ""]
    rows = [[i // 3, names[i], *CLIP[i, 0].reshape(-1)] for i in range(6)]
    path = write(tmp_path / "a.csv", ["frame", "person", *columns("{joint}_{part}")], rows)
    tracks = [
        frame.tracks.tolist() for frame in open_poses(path)[0].frames() if frame.tracks is not None
    ]
    assert tracks[0][1:] == [-1, -1] and tracks[1][2] == -1
    assert tracks[0][0] == tracks[1][1] != tracks[1][0]


def test_errors_in_a_table_of_deeplabcut_name_the_joint(tmp_path: Path) -> None:
    header = [
        ["scorer", *["net"] * 51],
        ["bodyparts", *(name for name in COCO for _ in range(3))],
        ["coords", *["x", "y", "likelihood"] * 17],
    ]
    row = [0, *CLIP[0, 0].reshape(-1)]
    row[2] = "?"
    with pytest.raises(InputError, match="row 4, column 'nose y' is"):
        open_poses(write(tmp_path / "a.csv", header[0], [*header[1:], row]))
