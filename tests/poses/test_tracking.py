from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.pose_tracker import _assign
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.tracking import track
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.skeletons.rest_pose import rest_pose

COCO = get_skeleton("coco17")
LIMBS = [j for j, name in enumerate(COCO.joints) if any(x in name for x in ("wrist", "ankle"))]


def recording(frames: Sequence[Frame], **changes: object) -> Recording:
    values = {"skeleton": COCO, "num_channels": 2, "has_score": True} | changes
    return Recording("walk", Path("walk.json"), frames=lambda: iter(frames), **values)


def walk(start: float, speed: float, num_frames: int, seed: int, height: float = 150) -> np.ndarray:
    """Someone who swings arms and legs on the way from left to right, in pixels [T, V, 2]."""
    rng = np.random.default_rng(seed)
    pose = rest_pose(COCO) * (height, -height) + (0, 400 + 5 * rng.normal())
    time = np.arange(num_frames)
    joints = np.tile(pose, (num_frames, 1, 1))
    joints[..., 0] += (start + speed * time)[:, None]
    swing = 0.15 * height * np.sin(2 * np.pi * (time / 25 + rng.uniform()))
    joints[:, LIMBS, 0] += swing[:, None] * np.array([1, -1, -1, 1])
    return joints + rng.normal(0, 0.01 * height, joints.shape)


def mixed(people: Sequence[np.ndarray], away: dict[int, range] | None = None) -> list[Frame]:
    """Frames with the persons in random order, a tenth of the joints missing.

    The order is in the scores: those of person p are p + 1.
    """
    rng = np.random.default_rng(5)
    frames = []
    for number in range(len(people[0])):
        here = [p for p in range(len(people)) if number not in (away or {}).get(p, ())]
        order = rng.permutation(here).astype(int) if here else np.zeros(0, dtype=int)
        joints = np.stack([people[p][number] for p in order]) if here else np.zeros((0, 17, 2))
        scores = np.tile(order[:, None] + 1.0, 17) * (rng.uniform(size=(len(order), 17)) < 0.9)
        joints = joints * (scores > 0)[..., None]
        frames.append(Frame(number, joints.astype(np.float32), scores.astype(np.float32)))
    return frames


def numbers_of_people(frames: Iterator[Frame]) -> dict[int, list[int]]:
    """The numbers that every person had, one after the other; persons as in :func:`mixed`."""
    found: dict[int, list[int]] = {}
    for frame in frames:
        for number, scores in zip(frame.tracks, frame.scores, strict=True):
            history = found.setdefault(int(scores.max()) - 1, [])
            if not history or history[-1] != number:
                history.append(int(number))
    return found


@pytest.mark.parametrize("speed", [2, 6, 15])
@pytest.mark.parametrize("hidden", [0, 6, 20])
def test_people_who_cross_keep_their_numbers(speed: float, hidden: int) -> None:
    people = [walk(400 - 30 * speed, speed, 60, seed=1), walk(400 + 30 * speed, -speed, 60, seed=2)]
    # The one behind is hidden when they meet.
    frames = mixed(people, {1: range(30 - hidden // 2, 30 + hidden // 2)})
    found = numbers_of_people(track(recording(frames)).frames())
    assert sorted(found[0] + found[1]) == [0, 1]


def test_a_crowd_that_walks_to_and_fro() -> None:
    speeds = [3, -4, 5, -6, 7, -8]
    people = [walk(500 - 40 * v, v, 80, seed=n) for n, v in enumerate(speeds)]
    found = numbers_of_people(track(recording(mixed(people))).frames())
    assert sorted(number for history in found.values() for number in history) == list(range(6))


def test_whoever_comes_back_in_time_is_the_same() -> None:
    people = [walk(200, 3, 120, seed=1), walk(900, 0, 120, seed=2)]
    found = numbers_of_people(
        track(recording(mixed(people, {0: range(20, 30), 1: range(50, 80)}))).frames()
    )
    assert [len(found[0]), len(found[1])] == [1, 1]
    found = numbers_of_people(track(recording(mixed(people, {1: range(50, 81)}))).frames())
    assert [len(found[0]), len(found[1])] == [1, 2]
    # Where every tenth frame of a video is kept, a frame is ten numbers.
    slow = [f._replace(number=10 * f.number) for f in mixed(people, {1: range(50, 80)})]
    found = numbers_of_people(track(recording(slow, step=10)).frames())
    assert [len(found[0]), len(found[1])] == [1, 1]


def test_tracking_changes_no_joint() -> None:
    people = [walk(300, 4, 30, seed=1), walk(500, -4, 30, seed=2), walk(700, 0, 30, seed=3)]
    frames = mixed(people, {2: range(5, 9)})
    for before, after in zip(frames, track(recording(frames)).frames(), strict=True):
        assert before.number == after.number
        assert np.array_equal(before.joints, after.joints)
        assert np.array_equal(before.scores, after.scores)


def test_a_person_found_twice_is_one_person() -> None:
    rng = np.random.default_rng(0)
    frames = []
    for frame in mixed([walk(300, 4, 40, seed=1), walk(600, -4, 40, seed=2)]):
        copies = frame.joints + rng.normal(0, 2, frame.joints.shape) * (frame.scores > 0)[..., None]
        joints = np.concatenate([copies, frame.joints]).astype(np.float32)
        scores = np.concatenate([0.8 * frame.scores, frame.scores])
        frames.append(Frame(frame.number, joints, scores))
    tracked = list(track(recording(frames)).frames())
    for before, after in zip(frames, tracked, strict=True):
        assert sorted(after.tracks) == [0, 1]
        assert len(before.joints) == 4
    # The pose with the higher scores is kept where the person is new.
    assert np.array_equal(tracked[0].scores, frames[0].scores[2:])


def test_people_in_space() -> None:
    people = [walk(300, 4, 40, seed=1), walk(500, -4, 40, seed=2)]
    frames = mixed(people)
    deep = [f._replace(joints=np.pad(f.joints / 100, ((0, 0), (0, 0), (0, 1)))) for f in frames]
    found = numbers_of_people(track(recording(deep, num_channels=3)).frames())
    assert sorted(found[0] + found[1]) == [0, 1]


def test_numbers_of_the_file_are_kept() -> None:
    frames = mixed([walk(300, 4, 20, seed=1), walk(500, -4, 20, seed=2)])
    rng = np.random.default_rng(0)
    numbered = [f._replace(tracks=rng.permutation([7, 3])) for f in frames]
    for before, after in zip(numbered, track(recording(numbered)).frames(), strict=True):
        assert np.array_equal(before.tracks, after.tracks)


def test_persons_without_a_number_among_others() -> None:
    frames = mixed([walk(300, 4, 20, seed=1), walk(600, 0, 20, seed=2)])
    partly = [f._replace(tracks=np.where(f.scores.max(axis=1) > 1, 5, -1)) for f in frames]
    found = numbers_of_people(track(recording(partly)).frames())
    assert found[1] == [5] and len(found[0]) == 1 and found[0] != [5]


def test_the_persons_who_are_seen_most() -> None:
    people = [walk(300, 0, 30, seed=1), walk(500, 0, 30, seed=2), walk(700, 0, 30, seed=3)]
    frames = mixed(people, {1: range(3, 12), 2: range(30)})
    everybody = track(recording(frames))
    kept = track(recording(frames), max_persons=1)
    main = next(f.tracks[f.scores.max(axis=1) == 2] for f in everybody.frames())
    for frame, number in zip(kept.frames(), range(30), strict=True):
        assert frame.number == number
        assert frame.tracks.tolist() == ([] if 3 <= number < 12 else main.tolist())
    with pytest.raises(InputError, match="max_persons: 0 is too few"):
        track(everybody, max_persons=0)


def test_a_recording_can_be_read_again() -> None:
    tracked = track(recording(mixed([walk(300, 4, 10, seed=1), walk(500, -4, 10, seed=2)])))
    first, second = ([f.tracks.tolist() for f in tracked.frames()] for _ in range(2))
    assert first == second


def test_persons_of_a_single_joint() -> None:
    scores = np.zeros((1, 17), np.float32)
    scores[0, 0] = 1
    frames = [Frame(n, np.full((1, 17, 2), 10 + n, np.float32), scores) for n in range(5)]
    assert [f.tracks.tolist() for f in track(recording(frames)).frames()] == 5 * [[0]]


def test_persons_without_joints_are_nobody() -> None:
    pose = walk(300, 0, 1, seed=0).astype(np.float32)
    joints, scores = np.concatenate([0 * pose, pose]), np.ones((2, 17), np.float32)
    scores[0] = 0
    (frame,) = track(recording([Frame(4, joints, scores)])).frames()
    assert frame.tracks.tolist() == [0] and np.array_equal(frame.joints, pose)
    empty = Frame(4, joints[:0], scores[:0])
    assert [f.tracks.tolist() for f in track(recording([empty])).frames()] == [[]]


def test_three_hundred_people() -> None:
    """A stadium: seats 40 pixels apart, persons of 60 pixels who wave, in random order."""
    rng = np.random.default_rng(0)
    seats = 40.0 * np.stack(np.meshgrid(np.arange(20), np.arange(15)), axis=-1).reshape(300, 1, 2)
    shapes = walk(0, 0, 300, seed=1, height=60) + seats
    frames, orders = [], [rng.permutation(300) for _ in range(6)]
    for number, order in enumerate(orders):
        joints = (shapes + rng.normal(0, 2, shapes.shape))[order].astype(np.float32)
        frames.append(Frame(number, joints, np.ones((300, 17), np.float32)))
    tracked = track(recording(frames)).frames()
    found = [frame.tracks[order.argsort()] for frame, order in zip(tracked, orders, strict=True)]
    assert sorted(found[0]) == list(range(300))
    assert all(np.array_equal(numbers, found[0]) for numbers in found)


def test_everybody_at_the_same_place() -> None:
    pose = walk(300, 0, 1, seed=0)
    joints = np.tile(pose, (300, 1, 1)).astype(np.float32)
    frames = [Frame(n, joints, np.ones((300, 17), np.float32)) for n in range(2)]
    assert [f.tracks.tolist() for f in track(recording(frames)).frames()] == [[0], [0]]


def test_two_people_who_fight(shared_data: Path) -> None:
    """SBU: approaching, pushing, kicking, hugging, 15 frames a second; then every third frame."""
    clips = pickle.loads((shared_data / "data/sbu/sbu.pkl").read_bytes())["annotations"][::6]
    sbu = get_skeleton("sbu15")
    rng = np.random.default_rng(0)
    for clip in clips:
        for step in (1, 3):
            frames = []
            for number in range(0, clip["keypoint"].shape[1], step):
                order = rng.permutation(2)
                joints = clip["keypoint"][order, number, :, :2].astype(np.float32)
                frames.append(Frame(number, joints, np.tile(order[:, None] + 1.0, 15)))
            tracked = track(recording(frames, skeleton=sbu, step=step))
            found = numbers_of_people(tracked.frames())
            assert sorted(found[0] + found[1]) == [0, 1]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([(3, 1, 0.0), (3, 1, 0.0)], "frame 3 comes after frame 3; sort the frames"),
        ([(3, 1, 0.0), (1, 1, 0.0)], "frame 1 comes after frame 3"),
        ([(0, 1025, 0.0)], "walk.json: frame 0 has 1,025 persons; at most 1,024"),
        ([(0, 1, np.nan)], "frame 0: coordinates and scores must be finite"),
        ([(0, 1, np.inf)], "frame 0: coordinates and scores must be finite"),
        ([(0, 1, 1e38)], r"must be finite numbers below 1e\+12; give a missing joint the score 0"),
    ],
)
def test_frames_that_make_no_sense(frames: list[tuple[int, int, float]], message: str) -> None:
    made = [
        Frame(n, np.full((m, 17, 2), x, np.float32), np.ones((m, 17), np.float32))
        for n, m, x in frames
    ]
    with pytest.raises(InputError, match=message):
        list(track(recording(made)).frames())


def test_numbers_that_begin_late_do_not_count() -> None:
    frames = mixed([walk(300, 4, 20, seed=1)])
    late = [f._replace(tracks=np.array([0])) if f.number > 10 else f for f in frames]
    assert all(f.tracks.tolist() == [0] for f in track(recording(late)).frames())
    late = [f._replace(tracks=np.array([5])) if f.number > 10 else f for f in frames]
    assert all(f.tracks.tolist() == [0] for f in track(recording(late)).frames())


def kinetics(path: Path) -> list[Frame]:
    """A clip of Kinetics-skeleton, in pixels of 340 x 256."""
    frames = []
    for entry in json.loads(path.read_text())["data"]:
        persons = entry["skeleton"]
        joints = np.array([p["pose"] for p in persons], np.float32).reshape(-1, 18, 2) * (340, 256)
        scores = np.array([p["score"] for p in persons], np.float32).reshape(-1, 18)
        frames.append(Frame(entry["frame_index"], joints.astype(np.float32), scores))
    return frames


def test_people_of_the_web(shared_data: Path) -> None:
    """Up to seven persons at a table: nobody jumps, and few are lost but where the film is cut."""
    frames = kinetics(shared_data / "data/kinetics_skeleton/cU1fyH2QssA.json")
    source = recording(frames, skeleton=get_skeleton("openpose18"))
    last: dict[int, tuple[int, np.ndarray, float]] = {}
    persons = 0
    for frame in track(source).frames():
        assert len(set(frame.tracks)) == len(frame.tracks)
        persons += len(frame.tracks)
        for number, joints, scores in zip(frame.tracks, frame.joints, frame.scores, strict=True):
            seen = joints[scores > 0]
            center, size = np.median(seen, axis=0), np.ptp(seen, axis=0).max()
            before, place, extent = last.get(number, (-1, center, size))
            if before == frame.number - 1:
                assert np.linalg.norm(center - place) < 1.5 * max(size, extent)
            last[number] = (frame.number, center, size)
    assert persons >= 0.99 * sum(len(frame.joints) for frame in frames)
    # The film is cut twice. 501 poses of up to seven persons in three scenes, many seen in part.
    assert len(last) <= 20


def test_any_frames_are_tracked() -> None:
    """Random persons, places, sizes, scores (some negative), gaps and numbers of joints."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        channels, step = int(rng.integers(2, 4)), int(rng.integers(1, 4))
        frames, number = [], 0
        for _ in range(12):
            shape = (int(rng.integers(0, 9)), 17)
            extent = 10.0 ** rng.integers(-3, 6)
            joints = extent * rng.normal(size=(*shape, channels)) * rng.integers(0, 2, (*shape, 1))
            scores = rng.normal(size=shape) * rng.integers(0, 2, (shape[0], 1))
            frames.append(Frame(number, joints.astype(np.float32), scores.astype(np.float32)))
            number += step * int(rng.choice([1, 2, 40]))
        for before, after in zip(
            frames,
            track(recording(frames, num_channels=channels, step=step)).frames(),
            strict=True,
        ):
            assert len(set(after.tracks)) == len(after.joints) == len(after.scores)
            rows = {row.tobytes() for row in before.joints}
            assert all(row.tobytes() in rows for row in after.joints)
            assert (after.scores.max(axis=1, initial=0) > 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_somebody_alone_is_tracked_as_among_others(seed: int) -> None:
    """Jumps, gaps and missing joints of one person; another one is far away in every frame."""
    rng = np.random.default_rng(seed)
    person = walk(300, 4, 200, seed)
    person[..., 0] += np.repeat(rng.uniform(-90, 90, 20), 10)[:, None]
    other = np.tile(walk(50_000, 0, 1, seed=9), (200, 1, 1))
    away = [n for n in range(200) if rng.uniform() < 0.15 or 60 <= n < 95]
    present = rng.uniform(size=(200, 17)) < rng.choice([1, 1, 0.5], size=(200, 1))

    def numbers(with_other: bool) -> list[int]:
        frames = []
        for number in range(200):
            people = [] if number in away else [person[number]]
            scores = [present[number]] * len(people) + [np.ones(17)] * with_other
            people += [other[number]] * with_other
            if people:
                joints = np.stack(people) * np.stack(scores)[..., None]
                frames.append(
                    Frame(number, joints.astype(np.float32), np.stack(scores).astype(np.float32))
                )
        tracked = [f for f in track(recording(frames)).frames() if f.number not in away]
        assert all(f.tracks[-1] == tracked[-1].tracks[-1] for f in tracked) or not with_other
        return [int(f.tracks[0]) for f in tracked]

    alone, among_others = numbers(False), numbers(True)
    assert len(set(alone)) > 1
    assert [sorted(set(alone)).index(n) for n in alone] == [
        sorted(set(among_others)).index(n) for n in among_others
    ]


def test_the_assignment_has_the_largest_sum() -> None:
    """With and without rows that want the same column."""
    rng = np.random.default_rng(0)
    for _ in range(500):
        gains = rng.random(rng.integers(0, 6, 2)) ** 3
        row, column = _assign(gains)
        expected = gains[linear_sum_assignment(gains, maximize=True)]
        assert len(set(row.tolist())) == len(set(column.tolist())) == len(expected)
        assert gains[row, column].sum() == pytest.approx(expected.sum(), abs=1e-12)
