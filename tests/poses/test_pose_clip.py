from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import pose_clip
from pyg_stgcn.poses.pose_clip import PoseClip, clip_windows, collect_clip
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton

CORNERS = Skeleton("corners", ("a", "b", "c"), ((1, 0), (2, 0)), center=0)


def frame(number: int, places: Sequence[float], score: Sequence[float] | float = 1) -> Frame:
    """Persons of the size 10 at some places."""
    offsets = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    joints = np.array(places, np.float32).reshape(-1, 1, 1) + offsets
    scores = np.empty(joints.shape[:2], np.float32)
    scores.T[:] = score
    return Frame(number, joints, scores)


def recording(frames: Sequence[Frame] | Callable[[], Iterator[Frame]], **changes: object):
    source = frames if callable(frames) else lambda: iter(frames)
    values = {"skeleton": CORNERS, "num_channels": 2, "has_score": True} | changes
    return Recording("clip", Path("clip.json"), frames=source, **values)


def three_people(num_frames: int = 51, first: int = 7, step: int = 1) -> list[Frame]:
    """Persons far apart: one from the start, one who comes later, one with low scores; gaps."""
    frames = []
    for time in range(num_frames):
        places, scores = [100 + time, 900.0], [0.9, 0.1]
        if time >= num_frames // 2:
            places, scores = [*places, 500 - time], [*scores, 0.8]
        if time % 9 != 4:
            frames.append(frame(first + step * time, places, scores))
    return frames


def arrays(clip: PoseClip) -> dict[int, np.ndarray]:
    """The array of every person by number."""
    return dict(zip(clip.tracks.tolist(), clip.to_array(), strict=True))


def test_a_gap_becomes_frames_without_persons() -> None:
    frames = [frame(5, [10]), frame(6, [11]), frame(9, [12])]
    clip = collect_clip(recording(frames, fps=10.0, image_size=(480, 640)))
    assert clip.joints.shape == (1, 5, 3, 2)
    assert (clip.scores > 0).any(axis=-1).tolist() == [[True, True, False, False, True]]
    assert clip.joints[0, :, 0, 0].tolist() == [10, 11, 0, 0, 12]
    assert (clip.first_frame, clip.last_frame, clip.start, clip.end) == (5, 9, 0.5, 1.0)
    assert clip.to_array().shape == (1, 5, 3, 3)
    assert np.array_equal(clip.to_array()[..., 2], clip.scores)


def test_every_tenth_frame_of_a_video() -> None:
    clip = collect_clip(recording([frame(n, [10]) for n in (20, 30, 60)], step=10, fps=20.0))
    assert (clip.scores > 0).any(axis=-1).tolist() == [[True, True, False, False, True]]
    assert (clip.first_frame, clip.last_frame, clip.start, clip.end) == (20, 60, 1.0, 3.5)


def test_coordinates_in_space_are_the_array() -> None:
    rng = np.random.default_rng(0)
    joints = (10 * np.eye(3) + rng.normal(size=(4, 1, 3, 3))).astype(np.float32)
    frames = [Frame(n, j, np.ones((1, 3), np.float32)) for n, j in enumerate(joints)]
    clip = collect_clip(recording(frames, num_channels=3))
    assert np.array_equal(clip.to_array()[0], joints[:, 0])
    assert clip.start is None and clip.end is None


def test_the_persons_who_are_seen_most_come_first(caplog: pytest.LogCaptureFixture) -> None:
    frames = three_people()
    with caplog.at_level(logging.INFO):
        clip = collect_clip(recording(frames))
    assert clip.scores.sum(axis=(1, 2)).tolist() == sorted(clip.scores.sum(axis=(1, 2)))[::-1]
    assert "clip.json: the 2 persons seen most are kept, 1 more left out" in caplog.text
    assert clip.joints[:, -1, 0, 0].tolist() == [150, 450]
    everybody = collect_clip(recording(frames), max_persons=9)
    assert everybody.num_persons == 3 and everybody.joints[2, -1, 0, 0] == 900
    assert np.array_equal(everybody.joints[:2], clip.joints)
    assert np.array_equal(collect_clip(recording(frames), max_persons=1).joints, clip.joints[:1])


def test_nobody_in_the_frames() -> None:
    empty = [frame(number, []) for number in (3, 4, 8)]
    clip = collect_clip(recording(empty))
    assert clip.to_array().shape == (0, 6, 3, 3) and clip.tracks.shape == (0,)
    windows = list(clip_windows(recording(empty), 4, 4))
    assert [(w.num_persons, w.num_frames) for w in windows] == [(0, 4), (0, 2)]


@pytest.mark.parametrize("step", [1, 5])
@pytest.mark.parametrize("length", [1, 7, 50, 1000])
def test_windows_one_after_the_other_are_the_clip(length: int, step: int) -> None:
    source = recording(three_people(step=step), step=step)
    whole = collect_clip(source, max_persons=9)
    windows = list(clip_windows(source, length, length, max_persons=9))
    assert [w.num_frames for w in windows[:-1]] == [length] * (len(windows) - 1)
    assert [w.first_frame for w in windows] == [7 + n * length * step for n in range(len(windows))]
    for person, expected in arrays(whole).items():
        absent = [np.zeros((w.num_frames, 3, 3)) for w in windows]
        parts = [arrays(w).get(person, nothing) for w, nothing in zip(windows, absent, strict=True)]
        assert np.array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize(("length", "stride"), [(10, 4), (4, 10), (10, 10), (49, 1), (3, 2)])
def test_windows_are_pieces_of_the_clip(length: int, stride: int) -> None:
    source = recording(three_people())
    whole = collect_clip(source, max_persons=9)
    windows = list(clip_windows(source, length, stride))
    ends = [window.last_frame for window in windows]
    assert ends == sorted(set(ends))
    assert stride > length or ends[-1] == whole.last_frame
    for number, window in enumerate(windows):
        start = number * stride
        assert window.first_frame == whole.first_frame + start
        assert window.num_frames == min(length, whole.num_frames - start)
        piece = whole.scores[:, start : start + length].sum(axis=(1, 2), dtype=np.float64)
        seen = dict(zip(whole.tracks.tolist(), piece.tolist(), strict=True))
        best = sorted((t for t in seen if seen[t]), key=lambda t: (-seen[t], t))[:2]
        assert window.tracks.tolist() == best
        for person, found in arrays(window).items():
            assert np.array_equal(found, arrays(whole)[person][start : start + length])


def test_windows_of_a_long_recording_take_little_memory() -> None:
    alive: set[int] = set()
    most = 0

    def frames() -> Iterator[Frame]:
        for number in range(400):
            made = frame(number, [100 + number % 50, 900])
            alive.add(number)
            weakref.finalize(made.joints, alive.discard, number)
            yield made
            del made

    for window in clip_windows(recording(frames), 20, 5):
        most = max(most, len(alive))
        assert window.num_persons == 2
    assert 0 < most <= 25


def test_two_poses_with_one_number() -> None:
    twice = frame(0, [10, 20], [0.5, 0.9])._replace(tracks=np.array([4, 4]))
    clip = collect_clip(recording([twice]))
    assert clip.tracks.tolist() == [4] and clip.joints[0, 0, 0, 0] == 20


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "clip.json: there are no frames in it"),
        ([frame(5, [1]), frame(5 + 10**9, [1])], "after frame 5 comes frame 1,000,000,005; a gap"),
        ([frame(5, [1]), frame(4, [1])], "frame 4 comes after frame 5; sort the frames"),
        ([frame(0, [1]), frame(0, [1])], "frame 0 comes after frame 0"),
        ([frame(0, np.arange(1100))], "frame 0 has 1,100 persons; at most 1,024"),
        ([frame(0, [np.nan])], "frame 0: coordinates and scores must be finite"),
        (
            [Frame(0, np.zeros((1, 4, 2)), np.zeros((1, 4)))],
            r"\(1, 4, 2\) .* not those of 3 joints",
        ),
        ([frame(0, [1])._replace(scores=np.zeros((2, 3)))], r"scores \(2, 3\) are not those"),
    ],
)
def test_recordings_that_make_no_clip(frames: list[Frame], message: str) -> None:
    for read in (collect_clip, lambda source: list(clip_windows(source, 3, 1))):
        with pytest.raises(InputError, match=message):
            read(recording(frames))


def test_frames_between_the_steps() -> None:
    with pytest.raises(InputError, match="frame 25 is not a multiple of 10 after frame 10"):
        collect_clip(recording([frame(10, [1]), frame(20, [1]), frame(25, [1])], step=10))


def test_a_clip_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    long = [frame(0, [1]), frame(9_999_999, [1])]
    windows = clip_windows(recording(long), 5_000_000, 5_000_000)
    assert [w.num_frames for w in windows] == [5_000_000, 5_000_000]
    monkeypatch.setattr(pose_clip, "MAX_BYTES", 10_000)
    message = "frames 0 to 9,999,999 do not fit into one clip .* read shorter windows of it"
    with pytest.raises(InputError, match=message):
        collect_clip(recording(long))
    crowd = [frame(number, np.arange(0, 3000, 100)) for number in range(50)]
    with pytest.raises(InputError, match=r"frames 0 to \d+ do not fit"):
        collect_clip(recording(crowd))
    with pytest.raises(InputError, match=r"frames 0 to \d+ do not fit"):
        list(clip_windows(recording(crowd), 40, 10))
    assert len(list(clip_windows(recording(crowd), 4, 4))) == 13


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 0}, "length: 0 is too few frames"),
        ({"stride": -1}, "stride: -1 is too few frames"),
        ({"max_persons": 0}, "max_persons: 0 is too few"),
    ],
)
def test_windows_that_make_no_sense(changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        clip_windows(recording([]), **{"length": 3, "stride": 1} | changes)
