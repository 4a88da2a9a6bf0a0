from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.estimators import FunctionEstimator
from pyg_stgcn.poses.movenet import MoveNet
from pyg_stgcn.poses.open_poses import list_recordings, open_poses
from pyg_stgcn.poses.open_video import open_video
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.spool import Spool
from pyg_stgcn.poses.tracking import track
from pyg_stgcn.poses.video_file import Image, write_video
from pyg_stgcn.skeletons import get_skeleton

av = pytest.importorskip("av", reason="the extra 'video' is not installed")

FRAMES = 6


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red video that becomes brighter from frame to frame."""
    path = tmp_path_factory.mktemp("video") / "red.mp4"
    images = np.zeros((FRAMES, 48, 64, 3), np.uint8)
    images[..., 0] = 40 + 30 * np.arange(FRAMES)[:, None, None]
    write_video(path, images, 10)
    return path


def red(image: Image) -> ArrayLike:
    """As many persons as the red value says, at the mean of red and blue."""
    persons = np.zeros((int(image[..., 0].mean()) // 60, 17, 3))
    persons[:, 1:] = image[..., 0].mean(), image[..., 2].mean(), 0.5
    return persons


def of_function(video: Path, function: Callable[[Image], ArrayLike]) -> Recording:
    return open_video(video, FunctionEstimator(function, get_skeleton("coco17")))


def test_every_frame_comes_with_its_persons(video: Path) -> None:
    recording = of_function(video, red)
    assert recording.name == "red" and recording.skeleton.name == "coco17"
    assert recording.image_size == (48, 64) and recording.fps == 10
    assert recording.num_frames == FRAMES and recording.has_score
    frames = list(recording.frames())
    assert [frame.number for frame in frames] == list(range(FRAMES))
    assert [len(frame.joints) for frame in frames] == [0, 1, 1, 2, 2, 3]
    assert all(frame.tracks is None for frame in frames)
    # The first joint has no score: it is missing. Red is much, blue little.
    assert (frames[5].scores[:, 0] == 0).all() and (frames[5].joints[:, 0] == 0).all()
    assert (frames[5].joints[:, 1:, 0] > 160).all() and (frames[5].joints[:, 1:, 1] < 40).all()


def test_poses_are_estimated_when_needed_and_once(video: Path) -> None:
    calls = 0

    def counted(image: Image) -> ArrayLike:
        nonlocal calls
        calls += 1
        return red(image)

    recording = of_function(video, counted)
    assert calls == 0
    next(recording.frames())
    assert calls == 1
    first = list(recording.frames())
    assert calls == 1 + FRAMES
    passes = zip(recording.frames(), recording.frames(), first, strict=True)
    for frames in passes:  # Two passes at the same time.
        for one in frames:
            assert one.number == frames[2].number
            assert np.array_equal(one.joints, frames[2].joints)
            assert np.array_equal(one.scores, frames[2].scores)
    assert calls == 1 + FRAMES


def test_pass_that_is_not_finished_is_forgotten() -> None:
    started = 0

    def frames() -> Iterator[Frame]:
        nonlocal started
        started += 1
        for number in range(3):
            yield Frame(number, np.ones((number, 2, 2), np.float32), np.ones((number, 2)))

    spool = Spool(frames, 2)
    assert next(spool()).number == 0
    assert len(list(spool())) == 3 and started == 2
    assert [len(frame.joints) for frame in spool()] == [0, 1, 2] and started == 2


@pytest.mark.parametrize(
    ("persons", "message"),
    [
        (np.zeros((17, 3)), r"frame 0: the estimator returns an array of shape \(17, 3\)"),
        (np.zeros((1, 16, 3)), r"shape \(1, 16, 3\); return \[persons, 17, 3\]"),
        (np.full((1, 17, 3), np.nan), "frame 0: person 0, joint 0 is .* not finite"),
    ],
)
def test_what_is_no_result(video: Path, persons: ArrayLike, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(of_function(video, lambda image: persons).frames())


def test_videos_are_opened_as_pose_files(
    video: Path, movenet_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYG_STGCN_MOVENET", str(movenet_model))
    (recording,) = open_poses(video)
    assert list_recordings(video.parent) == [video]
    assert [len(frame.joints) for frame in recording.frames()] == [0] * FRAMES


def test_two_persons_through_a_video(shared_data: Path, movenet_model: Path) -> None:
    net, numbers = MoveNet(movenet_model), count()

    def every_sixth(image: Image) -> ArrayLike:
        return net(image)[: None if next(numbers) % 6 == 0 else 0]

    recording = of_function(shared_data / "data/video/ntu_sample.avi", every_sixth)
    assert recording.fps == 30 and recording.image_size == (1080, 1920)
    frames = list(track(recording).frames())
    assert len(frames) == 72
    assert all(sorted(frame.tracks) == [0, 1] for frame in frames[::6])
    places = np.array([frame.joints[np.argsort(frame.tracks), 11, 0] for frame in frames[::6]])
    # They walk towards each other, and nobody changes sides.
    assert (places[:, 0] < places[:, 1]).all()
    assert places[-1, 1] - places[-1, 0] < places[0, 1] - places[0, 0]


class Lists:
    """An estimator of someone, which returns lists."""

    skeleton = get_skeleton("coco17")

    def __call__(self, image: Image) -> list[list[list[float]]]:
        return [[[1.1, 2.2, 0.7]] * 17]


def test_any_estimator_may_return_lists_or_wide_numbers(video: Path) -> None:
    recording = open_video(video, Lists())  # type: ignore[arg-type]
    first, second = list(recording.frames()), list(recording.frames())
    for one, other in zip(first, second, strict=True):
        assert one.joints.dtype == other.joints.dtype == np.float32
        assert one.joints.tobytes() == other.joints.tobytes()
        assert one.scores.tobytes() == other.scores.tobytes()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed on Linux")
def test_temporary_files_are_closed() -> None:
    frame = Frame(0, np.ones((1, 17, 2), np.float32), np.ones((1, 17), np.float32))
    spool = Spool(lambda: iter([frame] * 3), 17)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    passes = [spool(), spool(), spool()]
    for one in passes:
        next(one)
    assert [len(list(one)) for one in passes[:2]] == [2, 2]
    passes[2].close()  # type: ignore[attr-defined]
    assert len(list(spool())) == 3
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before + 1
    del spool, passes, one
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
