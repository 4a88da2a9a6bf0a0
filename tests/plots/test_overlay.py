from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from pyg_stgcn.errors import InputError
from pyg_stgcn.plots import overlay
from pyg_stgcn.plots.overlay import Label, check_overlay, save_overlay
from pyg_stgcn.plots.style import COLORS
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.video_file import open_video_file, write_video
from pyg_stgcn.skeletons import get_skeleton

BACKGROUND = "#2b2b2b"
SIZE = 240, 320


def standing(x: float = 160) -> NDArray[np.float32]:
    """Joints of coco17 from head to foot, at steps of ten pixels from y = 60."""
    heights = [0, 0, 0, 0, 0, 2, 2, 4, 4, 6, 6, 7, 7, 10, 10, 13, 13]
    sides = [0, 1, -1, 2, -2, 2, -2, 3, -3, 3, -3, 1, -1, 1, -1, 1, -1]
    return np.stack([x + 8 * np.array(sides), 60 + 10 * np.array(heights)], 1).astype(np.float32)


def recording_of(frames: Sequence[Frame], **changes: object) -> Recording:
    recording = Recording(
        "clip", Path("clip.json"), get_skeleton("coco17"), lambda: iter(frames), 2, True, SIZE, 25.0
    )
    return replace(recording, **changes)  # type: ignore[arg-type]


def frame(number: int, *persons: NDArray[np.float32], score: float = 0.9) -> Frame:
    joints = np.array(persons, np.float32).reshape(-1, 17, 2)
    scores = np.full(joints.shape[:2], score, np.float32)
    return Frame(number, joints, scores, np.arange(len(joints)))


def images(path: Path) -> list[NDArray[np.int64]]:
    """The frames of an overlay; of an animation, at ten frames per second."""
    if path.suffix == ".gif":
        with Image.open(path) as animation:
            # Frames that are alike are one frame, which is shown longer.
            return [
                np.asarray(one.convert("RGB")).astype(int)
                for one in ImageSequence.Iterator(animation)
                for _ in range(max(1, one.info["duration"] // 100))
            ]
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    return [image.astype(int) for image in open_video_file(path).frames()]


def near(image: NDArray[np.int64], color: str, tolerance: int = 40) -> NDArray[np.bool_]:
    return np.abs(image - np.round(255 * np.array(to_rgb(color)))).max(axis=-1) <= tolerance


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_persons_are_drawn_where_they_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"overlay{suffix}"
    pytest.importorskip("av") if suffix == ".mp4" else None
    # The second person comes later and moves to the right.
    frames = [frame(n, standing(80), *([standing(180 + 10 * n)] if n else [])) for n in range(4)]
    save_overlay(path, recording_of(frames))
    drawn = images(path)
    assert len(drawn) == (2 if suffix == ".gif" else 4)  # 25 frames per second are too many.
    scale = drawn[0].shape[0] / SIZE[0]
    assert drawn[0].shape[1] == pytest.approx(SIZE[1] * scale)
    for image, shown in zip(drawn, frames[:: 4 // len(drawn)], strict=True):
        for color, joints in zip(COLORS, shown.joints, strict=False):
            columns = np.flatnonzero(near(image, color).any(axis=0)) / scale
            assert columns.min() == pytest.approx(joints[:, 0].min(), abs=6)
            assert columns.max() == pytest.approx(joints[:, 0].max(), abs=6)
    assert not near(drawn[0], COLORS[1]).any()


def test_missing_and_uncertain_joints_are_not_drawn(tmp_path: Path) -> None:
    missing = frame(0, standing())
    missing.scores[:] = 0
    missing.joints[:] = 0
    frames = [missing, frame(1, standing(), score=0.05), Frame(2, *frame(2)[1:3], None)]
    save_overlay(tmp_path / "none.gif", recording_of(frames, fps=10))
    assert all(near(image, BACKGROUND, 8).all() for image in images(tmp_path / "none.gif"))
    # Without scores, all that is present is drawn.
    uncertain = recording_of([frames[1]], has_score=False)
    save_overlay(tmp_path / "one.gif", uncertain)
    assert not near(images(tmp_path / "one.gif")[0], BACKGROUND, 8).all()


def test_gaps_stay_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [frame(n, standing(100 + n % 70)) for n in (10, 20, 50, 10**9)]
    save_overlay(tmp_path / "gap.gif", recording_of(frames[:3], step=10, fps=100))
    empty = [near(image, BACKGROUND, 8).all() for image in images(tmp_path / "gap.gif")]
    assert empty == [False, False, True, True, False]
    # A gap that is a mistake in the numbers is cut short.
    monkeypatch.setattr(overlay, "_MAX_GAP", 3)
    save_overlay(tmp_path / "long.gif", recording_of(frames[2:], fps=10))
    empty = [near(image, BACKGROUND, 8).all() for image in images(tmp_path / "long.gif")]
    assert empty == [False, True, True, True, False]


def test_nearest_of_several_labels_is_shown(tmp_path: Path) -> None:
    recording = recording_of([frame(n, standing(), standing(260)) for n in range(10)], fps=10)

    def drawn(name: str, labels: list[Label]) -> list[NDArray[np.int64]]:
        save_overlay(tmp_path / name, recording, labels)
        return images(tmp_path / name)

    windows = drawn("windows.gif", [(4, 9, 0, "sit"), (0, 5, 0, "run"), (3, 9, None, "all")])
    pieces = drawn("pieces.gif", [(0, 4, 0, "run"), (5, 9, 0, "sit"), (3, 9, None, "all")])
    nothing = drawn("nothing.gif", [(20, 30, 0, "run"), (0, 9, 7, "of someone else")])
    # Frame 4 is as far from the middle of one window as frame 5 from that of the other.
    for number in (0, 1, 2, 3, 6, 7, 8, 9):
        assert (windows[number] == pieces[number]).all()
        assert not (windows[number] == nothing[number]).all()
    assert (nothing[0] == nothing[-1]).all()


@pytest.mark.parametrize("text", ["x" * 500, "走る \x1b[0m \ud800", "", "kick, throw or run? 0.98"])
def test_any_text_stays_in_the_image(tmp_path: Path, text: str) -> None:
    labels = [(0, 0, None, text), (0, 0, 0, text), (0, 0, 1, text)]
    at_edges = frame(0, standing(0), standing(319), standing() - 60)
    save_overlay(tmp_path / "text.gif", recording_of([at_edges]), labels)
    save_overlay(tmp_path / "none.gif", recording_of([at_edges]))
    (image, *_), (without, *_) = images(tmp_path / "text.gif"), images(tmp_path / "none.gif")
    # Letters have an outline, so that their white does not touch the border.
    border = image[:, [0, -1]][near(without[:, [0, -1]], BACKGROUND, 8)]
    assert not near(border, "white", 90).any()


def test_characters_that_the_font_lacks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = recording_of([frame(0, standing())])
    save_overlay(tmp_path / "text.gif", recording, [(0, 0, None, "Grüße, ходьба")])
    assert not caplog.text
    save_overlay(tmp_path / "text.gif", recording, [(0, 0, None, "走る"), (0, 0, 0, "走")])
    assert "text.gif: 2 characters of labels are not in the font" in caplog.text


def test_label_above_its_person(tmp_path: Path) -> None:
    recording = recording_of([frame(0, standing(80), standing(240))])
    save_overlay(tmp_path / "label.gif", recording, [(0, 0, 1, "kick")])
    save_overlay(tmp_path / "none.gif", recording)
    (image, *_), (without, *_) = images(tmp_path / "label.gif"), images(tmp_path / "none.gif")
    rows, columns = np.nonzero(np.abs(image - without).max(axis=-1) > 60)
    scale = image.shape[0] / SIZE[0]
    assert columns.mean() / scale == pytest.approx(240, abs=8)
    assert rows.max() / scale < 60


def test_over_a_video(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    video = tmp_path / "video.mp4"
    write_video(video, [np.full((480, 640, 3), 30 * n, np.uint8) for n in range(6)], 25)
    # The poses are of a smaller copy of the video, and those of its last frames are missing.
    recording = recording_of([frame(n, standing()) for n in range(4)])
    save_overlay(tmp_path / "over.mp4", recording, video=video)
    drawn = images(tmp_path / "over.mp4")
    assert len(drawn) == 6 and drawn[0].shape == (480, 640, 3)
    for number, image in enumerate(drawn):
        assert abs(image[:100].mean() - 30 * number) < 4
        present = near(image, COLORS[0])
        assert present.any() == (number < 4)
        if number < 4:
            assert np.nonzero(present)[1].mean() == pytest.approx(320, abs=8)
    same = recording_of([frame(n, 2 * standing()) for n in range(4)], image_size=(480, 640))
    save_overlay(tmp_path / "same.mp4", same, video=video)
    assert (tmp_path / "same.mp4").read_bytes() == (tmp_path / "over.mp4").read_bytes()


def test_poses_of_another_video(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    video = tmp_path / "short.mp4"
    write_video(video, [np.zeros((*SIZE, 3), np.uint8)] * 2, 25)
    save_overlay(tmp_path / "over.gif", recording_of([frame(5, standing())]), video=video)
    assert "its poses go on after the last frame of the video, 1" in caplog.text
    assert "its poses are of images" not in caplog.text
    turned = recording_of([frame(0, standing())], image_size=SIZE[::-1])
    save_overlay(tmp_path / "over.gif", turned, video=video)
    assert "its poses are of images with 240 x 320 pixels, the video" in caplog.text
    in_3d = recording_of([], num_channels=3)
    with pytest.raises(InputError, match="its joints are in 3-D"):
        save_overlay(tmp_path / "over.gif", in_3d, video=video)


@pytest.mark.parametrize("up", [1, -1])
def test_bodies_in_3d_stand_upright(tmp_path: Path, up: int) -> None:
    flat = standing(0)
    joints = np.concatenate([flat[:, :1], -up * flat[:, 1:], np.full((17, 1), 300)], 1) / 100
    scores = np.ones((1, 17), np.float32)
    scores[0, [15, 16]] = 0  # The feet, of which the knees are then lowest.
    frames = [Frame(n, joints[None].astype(np.float32), scores, np.array([0])) for n in range(2)]
    frames.append(frames[0]._replace(number=2, scores=np.eye(17, dtype=np.float32)[[0]]))
    recording = recording_of(frames, num_channels=3, image_size=None, fps=10)
    save_overlay(tmp_path / "body.gif", recording)
    body, _, nose = images(tmp_path / "body.gif")
    assert max(body.shape) == 480
    rows = np.nonzero(near(body, COLORS[0]))[0]
    assert np.nonzero(near(nose, COLORS[0]))[0].max() < rows.mean() < rows.max()


def test_unknown_image_size(tmp_path: Path) -> None:
    recording = recording_of([frame(0, 50 * standing())], image_size=None)
    save_overlay(tmp_path / "body.gif", recording)
    image, *_ = images(tmp_path / "body.gif")
    rows, columns = np.nonzero(near(image, COLORS[0]))
    # The body fills the image, but for a margin.
    assert 0 < rows.min() < 0.15 * len(image) and 0.85 * len(image) < rows.max() < len(image) - 1
    assert columns.min() > 0 and columns.max() < image.shape[1] - 1
    with pytest.raises(InputError, match=r"clip\.json: no joint is present"):
        save_overlay(tmp_path / "none.gif", recording_of([frame(0)], image_size=None))


def test_long_animations_are_thinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(overlay, "_GIF_FRAMES", 20)
    frames = [frame(n, standing(50 + 2 * n)) for n in range(100)]
    save_overlay(tmp_path / "long.gif", recording_of(frames, fps=10))
    with Image.open(tmp_path / "long.gif") as animation:
        durations = [one.info["duration"] for one in ImageSequence.Iterator(animation)]
    # As long as the recording.
    assert durations == [800] * 13
    assert "shows every 8th frame only; write a video, long.mp4" in caplog.text


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield frame(0, standing())
        raise InputError("damaged")

    for suffix in (".gif", ".mp4"):
        pytest.importorskip("av", reason="the extra 'video' is not installed")
        with pytest.raises(InputError, match="damaged"):
            save_overlay(tmp_path / f"overlay{suffix}", replace(recording_of([]), frames=frames))
    with pytest.raises(InputError, match="there is no frame"):
        save_overlay(tmp_path / "overlay.gif", recording_of([]))
    assert list(tmp_path.iterdir()) == []


def test_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"ends in \.mp4 or \.gif .did you mean"):
        check_overlay(tmp_path / "overlay.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    check_overlay(tmp_path / "overlay.gif")
    with pytest.raises(InputError, match=r'pip install "pyg-stgcn\[video\]"'):
        check_overlay(tmp_path / "overlay.mp4")


def test_a_frame_every_few_hours_is_shown_as_long_as_an_animation_can(tmp_path: Path) -> None:
    save_overlay(tmp_path / "slow.gif", recording_of([frame(0, standing())], fps=1e-4))
    assert (tmp_path / "slow.gif").stat().st_size > 0
