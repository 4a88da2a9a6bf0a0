from __future__ import annotations

import itertools
import sys
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import is_video
from pyg_stgcn.poses.video_file import Image, open_video_file, write_video

av = pytest.importorskip("av", reason="the extra 'video' is not installed")

SIZE = 48, 64


def colors(count: int) -> Iterator[Image]:
    """Frames of one colour each, which changes from frame to frame."""
    for number in range(count):
        color = 60 + 5 * number, 200 - 5 * number, 120
        yield np.full((*SIZE, 3), color, np.uint8)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "colors.mp4"
    write_video(path, colors(20), 29.97)
    return path


def test_frames_come_back_in_order(video: Path) -> None:
    opened = open_video_file(video)
    assert opened.image_size == SIZE
    assert opened.fps == pytest.approx(29.97)
    assert opened.num_frames == 20
    for found, wanted in itertools.zip_longest(opened.frames(), colors(20)):
        assert found.shape == wanted.shape and found.dtype == np.uint8
        assert np.abs(found.mean((0, 1)) - wanted.mean((0, 1))).max() < 6


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".ts", ".flv"])
def test_containers_are_recognised(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path, np.random.default_rng(0).integers(0, 256, (9, *SIZE, 3), np.uint8), 25)
    assert is_video(path.read_bytes()[:1024])
    assert len(list(open_video_file(path).frames())) == 9


@pytest.mark.parametrize("head", [b"", b'{"people": []}', b"\x93NUMPY", b"PK\x03\x04", b"G" * 9])
def test_other_files_are_no_videos(head: bytes) -> None:
    assert not is_video(head)


def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    write_video(tmp_path / "odd.mp4", [np.zeros((33, 47, 3), np.uint8)], 25)
    assert open_video_file(tmp_path / "odd.mp4").image_size == (32, 46)


def test_name_that_looks_like_a_protocol(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "concat:a|b.mp4"
    path.write_bytes(video.read_bytes())
    assert open_video_file(path).num_frames == 20


def test_upright_video_that_is_stored_lying_down(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:16, :16] = 255  # The left upper corner.
    write_video(path, [image] * 3, 25)
    one = 1 << 16
    still, turned = (
        b"".join(number.to_bytes(4, "big", signed=True) for number in matrix)
        for matrix in (
            (one, 0, 0, 0, one, 0, 0, 0, 1 << 30),
            (0, one, 0, -one, 0, 0, 0, 0, 1 << 30),
        )
    )
    content = path.read_bytes()
    place = content.index(still, content.index(b"tkhd"))
    path.write_bytes(content[:place] + turned + content[place + len(turned) :])

    opened = open_video_file(path)
    assert opened.image_size == SIZE[::-1]
    # By a quarter turn clockwise, the left upper corner comes to the right.
    found = next(opened.frames())
    assert found.shape == (64, 48, 3)
    assert found[:12, -12:].min() > 200 and found[:12, :12].max() < 60


def test_file_that_was_cut_off(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cut.avi"
    write_video(path, np.random.default_rng(0).integers(0, 256, (20, *SIZE, 3), np.uint8), 25)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    count = len(list(open_video_file(path).frames()))
    assert 0 < count < 20
    assert f"cut.avi: ends after {count} of the 20 frames" in caplog.text
    # An MP4 has its table of contents at the end.
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"cut\.mp4: is (no video|damaged)"):
        open_video_file(tmp_path / "cut.mp4")


def test_damage_within_a_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.avi"
    rng = np.random.default_rng(0)
    write_video(path, rng.integers(0, 256, (30, *SIZE, 3), np.uint8), 25)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    content[len(content) // 2 :: 40] ^= 0xFF
    path.write_bytes(content.tobytes())
    with pytest.raises(InputError, match=r"damaged\.avi: is damaged after \d+ frames"):
        list(open_video_file(path).frames())


def test_what_is_no_video(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video " * 100)
    with pytest.raises(InputError, match=r"text\.mp4: is no video"):
        open_video_file(text)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(InputError, match="has no frames, only sound"):
        open_video_file(sound)
    with pytest.raises(InputError, match="there is no frame to write"):
        write_video(tmp_path / "empty.mp4", [], 25)
    assert not (tmp_path / "empty.mp4").exists()


def test_variable_rate_is_told(
    video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "variable.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = SIZE
        stream.codec_context.time_base = Fraction(1, 25)
        for number, image in enumerate(colors(20)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if number < 10 else number + 50  # A pause of two seconds.
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(list(open_video_file(path).frames())) == 20
    assert "its frame rate varies; times are up to" in caplog.text
    caplog.clear()
    list(open_video_file(video).frames())
    assert "varies" not in caplog.text


def test_one_frame_is_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    write_video(path, (np.full((240, 320, 3), number, np.uint8) for number in range(100)), 25)
    frames = open_video_file(path).frames()
    next(frames)
    tracemalloc.start()
    try:
        assert sum(1 for _ in frames) == 99
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 240 * 320 * 3


def test_extra_that_is_not_installed(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r'pip install "pyg-stgcn\[video\]"'):
        open_video_file(video)


def test_a_video_without_frames_is_named_as_the_user_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/new\.mp4: there is no frame"):
        write_video(tmp_path / "new.mp4", [], 25)
    assert not any(tmp_path.iterdir())
