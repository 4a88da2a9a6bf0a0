from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.datasets.readers.ntu_file import Body, Recording, parse_recording
from pyg_stgcn.datasets.readers.ntu_persons import all_bodies, select_persons
from pyg_stgcn.errors import InputError


def standing_body(depth: float, shift: float = 0.0, width: float = 0.25) -> np.ndarray:
    """25 joints in an upright box 1.5 m high; all numbers are multiples of 1/64."""
    joints = np.arange(25)
    x = width * (joints % 2) + shift
    return np.stack([x, joints / 16, np.full(25, depth)], axis=-1)


def body(
    depth: int, frames: range, shake: float = 0.25, wide: range | tuple[int, ...] = ()
) -> Body:
    """A body that is known by its depth and moves sideways in every second frame.

    Those of its frames that are in `wide` are twice as wide as high.
    """
    joints = [
        standing_body(depth, shake * (i % 2), width=3.0 if i in wide else 0.25)
        for i in range(len(frames))
    ]
    return Body(np.array(frames, np.int64), np.array(joints, np.float32))


def depths(keypoint: np.ndarray) -> list[list[int]]:
    """The depth of every body by person and frame, 0 where there is none."""
    assert keypoint.dtype == np.float32
    assert keypoint.shape[2:] == (25, 3)
    return keypoint[:, :, 7, 2].astype(int).tolist()


def select(*bodies: Body, num_frames: int = 40) -> list[list[int]]:
    return depths(select_persons(Recording(num_frames, list(bodies))))


@pytest.mark.parametrize("name", ["A001", "A005", "A050"])
def test_the_published_result_on_genuine_files(shared_data: Path, name: str) -> None:
    stem = f"S001C001P001R001{name}"
    data = (shared_data / f"data/ntu_raw/{stem}.skeleton").read_bytes()
    golden = np.load(shared_data / f"golden/ntu_raw/{stem}.npz")
    recording = parse_recording(data, stem)
    keypoint = select_persons(recording)
    assert keypoint.dtype == golden["keypoint"].dtype
    assert np.array_equal(keypoint, golden["keypoint"])
    bodies = json.loads(str(golden["bodies"])).values()
    assert [len(body.frames) for body in recording.bodies] == [body["frames"] for body in bodies]


def test_line_ends_do_not_matter_in_genuine_files(shared_data: Path) -> None:
    folder = shared_data / "data/ntu_raw"
    unix, dos = (
        select_persons(parse_recording((folder / f"S001C001P001R001A001{end}").read_bytes(), end))
        for end in (".skeleton", ".crlf.skeleton")
    )
    assert np.array_equal(unix, dos)


def test_a_single_body_is_taken_as_it_is() -> None:
    # Not too short, not too wide, and not trimmed, where it is the only one.
    only = body(3, range(5, 10), wide=range(5))
    only.joints[0] = 0
    keypoint = select_persons(Recording(40, [only]))
    assert np.array_equal(keypoint, only.joints[None])


def test_who_moves_more_comes_first() -> None:
    still, lively = body(1, range(20), 0.25), body(2, range(20), 0.5)
    assert select(still, lively) == [[2] * 20, [1] * 20]
    assert select(lively, still) == [[2] * 20, [1] * 20]


def test_who_moves_as_much_comes_in_the_order_of_appearance() -> None:
    assert select(body(2, range(20)), body(1, range(20))) == [[2] * 20, [1] * 20]


@pytest.mark.parametrize(
    ("length", "expected"), [(11, [[1] * 20]), (12, [[2] * 12 + [0] * 8, [1] * 20])]
)
def test_who_is_seen_in_11_frames_is_noise(length: int, expected: list[list[int]]) -> None:
    assert select(body(1, range(20)), body(2, range(length), 1.0)) == expected


def test_of_bodies_that_are_all_too_short_the_longest_is_kept() -> None:
    assert select(body(1, range(5)), body(2, range(5, 12)), body(3, range(4), 1.0)) == [[2] * 7]


@pytest.mark.parametrize(("wide", "kept"), [(13, True), (14, False)])
def test_who_is_too_wide_too_often_is_furniture(wide: int, kept: bool) -> None:
    # 13 of 20 frames are 65 %, 14 are 70 %; the limit is 69.754 %.
    found = select(body(1, range(20), 0.5), body(2, range(20), 0.25, wide=range(wide)))
    assert found == ([[1] * 20, [2] * 20] if kept else [[1] * 20])


def test_of_bodies_that_are_all_too_wide_the_longest_is_kept() -> None:
    assert select(body(1, range(20), wide=range(20)), body(2, range(21), wide=range(20))) == [
        [2] * 21
    ]


def test_frames_that_are_too_wide_are_no_motion() -> None:
    # With them the first would move more.
    jumpy, lively = body(1, range(20), 0.25, wide=range(10)), body(2, range(20), 1.0)
    total = [single.joints.reshape(-1, 3).var(axis=0).sum() for single in (jumpy, lively)]
    assert total[0] > total[1]
    assert select(jumpy, lively) == [[2] * 20, [1] * 20]


def test_0_8_of_the_height_is_not_too_wide() -> None:
    # Height 1.5, so that 0.8 of it is 1.2 in single precision too.
    frames = np.arange(20)
    limit, beyond = (
        Body(frames, np.array([standing_body(depth, width=width)] * 20, np.float32))
        for depth, width in ((2, 1.1875), (3, 1.21875))
    )
    assert select(body(1, range(20)), limit) == [[2] * 20, [1] * 20]
    assert select(body(1, range(20)), beyond) == [[1] * 20]


def test_bodies_one_after_the_other_are_one_person() -> None:
    first, second = body(1, range(0, 15), 0.5), body(2, range(15, 30), 0.25)
    assert select(first, second) == [[1] * 15 + [2] * 15, [0] * 30]
    partner = body(3, range(30), 0.375)
    assert select(first, second, partner) == [[1] * 15 + [2] * 15, [3] * 30]


def test_who_fits_neither_person_is_dropped() -> None:
    bodies = body(1, range(20), 1.0), body(2, range(20), 0.5), body(3, range(13), 0.25)
    assert select(*bodies) == [[1] * 20, [2] * 20]


def test_the_second_person_counts_as_there_from_the_beginning() -> None:
    # The third would fit before the second: the published rules have the slot taken from frame 0.
    bodies = body(1, range(40), 1.0), body(2, range(20, 40), 0.5), body(3, range(15), 0.25)
    assert select(*bodies) == [[1] * 40, [0] * 20 + [2] * 20]
    after = body(3, range(20, 35), 0.25)
    bodies = body(1, range(40), 1.0), body(2, range(20), 0.5), after
    assert select(*bodies) == [[1] * 40, [2] * 20 + [3] * 15 + [0] * 5]


def test_frames_without_bodies_do_not_count() -> None:
    # Frames 15 to 24 are empty; 10 to 14 hold the first body only.
    first = body(1, range(15), 0.5)
    second = Body(np.array([*range(10), *range(25, 35)]), body(2, range(20)).joints)
    assert select(first, second) == [[1] * 15 + [0] * 5, [2] * 20]
    late = body(2, range(25, 40), 0.25)
    assert select(first, late) == [[1] * 15 + [2] * 15, [0] * 30]


def test_a_gap_moves_the_later_frames_up() -> None:
    first = body(1, range(30), 0.5)
    second = Body(np.array([*range(5), *range(15, 25)]), body(2, range(15)).joints)
    assert select(first, second) == [[1] * 30, [2] * 15 + [0] * 15]


def test_empty_frames_at_the_ends_are_trimmed() -> None:
    first, second = body(1, range(30), 2.0), body(2, range(30), 0.25)
    for single in (first, second):
        single.joints[[0, 1, 10, 29]] = 0
    first.joints[1, 0, 0] = 0.0009
    first.joints[29, 0, 0] = 0.0011
    found = select(first, second)
    assert found == [[1] * 8 + [0] + [1] * 18 + [0], [2] * 8 + [0] + [2] * 18 + [0]]


def test_who_is_there_first_becomes_the_first_person() -> None:
    lively, early = body(1, range(10, 30), 0.5), body(2, range(30), 0.25)
    assert select(early, lively) == [[2] * 30, [0] * 10 + [1] * 20]


def test_all_bodies_as_they_were_recorded(make_recording: Callable[..., bytes]) -> None:
    data = make_recording(
        {}, {1: standing_body(2)}, {}, {1: standing_body(3), 0: standing_body(4)}, {}
    )
    keypoint = all_bodies(parse_recording(data, "file", tracking=True), "file")
    expected = np.zeros((2, 5, 25, 4), np.float32)
    for person, frame, depth in ((0, 1, 2), (0, 3, 3), (1, 3, 4)):
        expected[person, frame, :, :3] = standing_body(depth)
        expected[person, frame, :, 3] = np.arange(25) % 3
    assert np.array_equal(keypoint, expected)


def test_bodies_of_a_crowd_no_sensor_could_see() -> None:
    bodies = [body(1, range(1))] * 2000
    with pytest.raises(InputError, match=r"^file: has 2,000 bodies in 9,000 frames, far too"):
        all_bodies(Recording(9000, bodies), "file")
