"""Poses from lines of JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.poses import open_poses, track, write_poses
from pyg_stgcn.poses.person_arrays import NoPersonsError
from pyg_stgcn.poses.pose_lines import MAX_LINE, open_pose_lines, split_lines

GENUINE = Path(__file__).parents[3] / "shared/data/poses/openpose_body25"


def line(**content):
    return json.dumps(content).encode() + b"\n"


def body(joints=17, score=0.9):
    return [[n + 1.0, 2.0 * n + 1, score] for n in range(joints)]


GOOD = line(frame=3, persons=[{"track": 1, "joints": body()}])


def read(*lines, channels=2, dropped=0):
    recording = open_pose_lines(((one, dropped) for one in lines), num_channels=channels)
    return recording, list(recording.frames())


def test_both_forms_of_a_line_are_the_same_frame():
    points = [row[:2] for row in body()]
    other = {"keypoints": points, "keypoint_scores": [0.9] * 17, "track_id": 1}
    for given in (GOOD, line(frame_id=3, instances=[other])):
        recording, (frame,) = read(given)
        assert recording.skeleton.name == "coco17" and recording.num_channels == 2
        assert (frame.number, frame.tracks.tolist(), frame.time) == (3, [1], None)
        np.testing.assert_array_equal(frame.joints[0], np.array(points, np.float32))
        np.testing.assert_array_equal(frame.scores, np.full((1, 17), 0.9, np.float32))


def test_numbers_times_scores_and_tracks_may_be_left_out():
    joints = [row[:2] for row in body()]
    joints[4] = [0, 0]
    _, frames = read(*[line(persons=[{"joints": joints}], time=n / 4) for n in range(3)])
    assert [(frame.number, frame.time) for frame in frames] == [(0, 0), (1, 0.25), (2, 0.5)]
    assert frames[0].tracks is None
    assert frames[0].scores[0].tolist() == [1] * 4 + [0] + [1] * 12
    # Two persons with one number are told apart by tracking.
    _, (frame,) = read(line(persons=[{"track": 5, "joints": body()}] * 2))
    assert frame.tracks.tolist() == [5, -1]


def test_a_third_number_is_a_score_or_a_coordinate_as_the_model_reads_it():
    given = line(persons=[{"joints": body(25)}])
    assert read(given)[1][0].joints.shape == (1, 25, 2)
    recording, (frame,) = read(given, channels=3)
    assert frame.joints.shape == (1, 25, 3) and recording.skeleton.name == "ntu25"


def test_dropped_lines_are_counted():
    _, frames = read(*[line(persons=[{"joints": body()}])] * 3, dropped=2)
    assert [(frame.number, frame.dropped) for frame in frames] == [(2, 2), (5, 2), (8, 2)]


def test_numbers_with_gaps_after_every_frame_are_told(caplog):
    for step, told in ((1, 0), (5, 1)):
        lines = [line(frame=n * step, persons=[{"joints": body()}]) for n in range(40)]
        assert len(read(*lines)[1]) == 40
        assert sum("grow by 5 or more" in text for text in caplog.messages) == told


def test_a_time_that_goes_back_is_told_unless_another_sequence_begins(caplog):
    lines = [line(frame=n % 20, persons=[{"joints": body()}], time=n % 20 / 4) for n in range(40)]
    assert len(read(*lines)[1]) == 40 and not caplog.messages
    warn_once.cache_clear()
    read(*[line(persons=[{"joints": body()}], time=n % 7 / 4) for n in range(20)])
    assert [text.split(": ", 2)[1] for text in caplog.messages] == ["frame 7", "frame 14"]
    assert "the time goes back from 1.5 to 0;" in caplog.messages[0]


@pytest.mark.parametrize("scale", [0.002, 1, 1000])
def test_poses_of_an_image_for_a_model_of_poses_in_space_are_told(caplog, scale):
    person = scale * np.random.default_rng(0).random((25, 3)) + [0, 0, scale]
    read(line(persons=[{"joints": person.tolist()}]), channels=3)
    assert not caplog.messages
    read(line(persons=[{"joints": body(25)}]), channels=3)
    assert "third numbers lie between 0.90 and 0.90, as scores do" in caplog.text


def test_wrong_lines_are_left_out_with_their_number(caplog):
    wrong = [
        (b"Loading the model ...\n", "is no JSON"),
        (line(frame=5, persons=[{"joints": body(16)}]), "has 16 joints of 2 coordinates, while"),
        (line(frame=6, persons=[{"joints": body(score=float("nan"))}]), "not finite"),
        (line(frame="x", persons=[]), "the number of the frame is 'x'"),
        (GOOD[:40], "is cut off"),
    ]
    _, frames = read(GOOD, *(one for one, _ in wrong[:-1]), line(frame=9, persons=[]), GOOD[:40])
    assert [frame.number for frame in frames] == [3, 9]
    assert frames[1].joints.shape == (0, 17, 2)
    told = caplog.messages
    assert len(told) == len(wrong)
    for number, (text, (_, reason)) in enumerate(zip(told, wrong, strict=True), 2):
        assert f"line {number if number < 6 else 7}" in text and reason in text


def test_many_wrong_lines_are_counted(caplog):
    assert len(read(GOOD, *[b"{\n"] * 100)[1]) == 1
    assert len(caplog.messages) == 6 and "100 wrong lines left out" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty; write a line for each frame, such as"),
        ([b"no\n", b"[1]\n"], "no line is a frame; the first wrong one: .* line 1: is no JSON"),
        ([line(hello=1)], "line 1: has no 'persons'; write a frame such as"),
        ([line(persons=None)], "line 1: the persons are None; write a frame such as"),
        ([b"[[1, 2, 3]]\n"], r"line 1: is \[\[1, 2, 3\]\]; write a frame such as [^;]*$"),
        ([line(persons=[{"joints": body(16)}])], "16 joints in 2-D, whose layout cannot be told"),
        ([line(persons=[{"joints": [[1, "x"]]}])], "not a list of joints with x, y and perhaps"),
        ([b"[" * 100_000 + b"\n"], "no line is a frame"),
        ([b"1" * (MAX_LINE + 2)], "longer than"),
    ],
)
def test_what_is_no_stream_of_poses_is_one_error(lines, message):
    with pytest.raises(InputError, match=message):
        read(*lines)


def test_frames_without_anybody_are_no_damage():
    with pytest.raises(NoPersonsError, match="no line shows a person"):
        read(line(persons=[]))


def test_a_file_of_poses_can_be_read_line_by_line(tmp_path):
    if not GENUINE.exists():
        pytest.skip("needs the genuine poses of shared/data")
    (recording,) = open_poses(min(GENUINE.iterdir()), image_size=(480, 640), fps=25)
    path = tmp_path / "poses.json"
    write_poses(track(recording), path)
    content = path.read_bytes()
    chunks = [content[start : start + 1000] for start in range(0, len(content), 1000)]
    found, frames = read(*split_lines(chunks))
    (expected,) = open_poses(path)
    assert (found.skeleton, found.image_size, found.fps) == (recording.skeleton, (480, 640), 25)
    for frame, other in zip(frames, expected.frames(), strict=True):
        assert frame.number == other.number
        for one, two in zip(frame[1:4], other[1:4], strict=True):
            np.testing.assert_array_equal(one, two)


def test_lines_are_split_wherever_their_pieces_end():
    assert list(split_lines([b"a\nb", b"c\n\n", b"d"])) == [b"a\n", b"bc\n", b"\n", b"d"]
    assert list(split_lines([b"a\n"])) == [b"a\n"]
    pieces = [b"x" * 2**20] * 40 + [b"\nend\n"]
    assert [len(one) for one in split_lines(pieces)] == [MAX_LINE + 2, 4]
