"""Video files: their frames one by one, and a writer."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.files import check_is_file, write_atomically

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]
"""A frame ``[H, W, 3]``: red, green, blue."""

INSTALL = 'pip install "pyg-stgcn[video]"'
"""The command that installs what videos need."""

#: Longest time in seconds between a frame of a constant rate and the true one that is not reported.
_MAX_DRIFT = 0.2
#: Lost frames at the end that are not reported: some headers count a few too many.
_MAX_LOST = 3
#: From the best to the one that every FFmpeg has.
_ENCODERS = ("libx264", "libopenh264", "mpeg4")


@dataclass(frozen=True)
class Video:
    """A video: a description, and its frames, which are decoded when they are needed.

    Args:
        path: The file.
        image_size: Height and width of the frames in pixels, as they are shown: phones store
            upright videos lying down, with a note how to rotate them.
        fps: Mean number of frames per second, if the file says so.
        num_frames: Number of frames by the header of the file, if it has one. A file that is
            cut off has fewer.
    """

    path: Path
    image_size: tuple[int, int]
    fps: float | None
    num_frames: int | None

    def frames(self, image_size: tuple[int, int] | None = None) -> Iterator[Image]:
        """Decode the frames from the first to the last, one at a time, upright.

        Frames that are shown for different times (a variable frame rate, which phones use) come
        one by one too. If the times that follow from :attr:`fps` are then off by more than 0.2
        seconds, a warning says by how much. Warnings tell of damaged frames too, and of a file that
        ends early.

        Args:
            image_size: Height and width to which the frames are resized (default: their own).

        Raises:
            InputError: The file is damaged; the message says after which frame.
        """
        height, width = image_size or self.image_size
        count, damaged, drift, start = 0, 0, 0.0, None
        with _opened(self.path) as (container, stream):
            for frame in _decode(self.path, container, stream):
                if frame.time is not None:
                    start = frame.time if start is None else start
                    if self.fps is not None:
                        drift = max(drift, abs(frame.time - start - count / self.fps))
                damaged += frame.is_corrupt
                yield to_image(frame, height, width)
                count += 1
        self._report(count, damaged, drift)

    def _report(self, count: int, damaged: int, drift: float) -> None:
        if damaged:
            warn_once(
                logger,
                f"{self.path}: {damaged:,} of {count:,} frames are damaged, and were filled from "
                "their neighbours",
            )
        if self.num_frames is not None and count < self.num_frames - _MAX_LOST:
            warn_once(
                logger,
                f"{self.path}: ends after {count:,} of the {self.num_frames:,} frames in its "
                "header; it was cut off, or trimmed without a new header",
            )
        if drift > _MAX_DRIFT:
            warn_once(
                logger,
                f"{self.path}: its frame rate varies; times are up to {drift:.1f} s off, as if it "
                f"had {self.fps:g} frames per second throughout; for exact times, convert it: "
                f"ffmpeg -i {self.path.name} -r {self.fps:.0f} constant.mp4",
            )


def open_video_file(path: Path) -> Video:
    """Read the description of a video.

    Raises:
        InputError: The file does not exist, is damaged, or has no frames; or PyAV is missing.
    """
    check_is_file(path)
    with _opened(path) as (container, stream):
        frame = next(_decode(path, container, stream), None)
        if frame is None:
            raise InputError(f"{path}: has no frame; it is damaged, or only its sound was kept")
        ratio = stream.sample_aspect_ratio
        rate = stream.average_rate or stream.guessed_rate
        size = to_image(frame).shape[:2]
        num_frames = stream.frames or None
    if ratio and ratio != 1:
        warn_once(
            logger,
            f"{path}: its pixels are not square ({ratio.numerator}:{ratio.denominator}); bodies "
            "look too wide or too narrow; for true proportions, convert it: "
            f"ffmpeg -i {path.name} -vf scale=iw*sar:ih,setsar=1 square.mp4",
        )
    return Video(path, (size[0], size[1]), float(rate) if rate else None, num_frames)


def write_video(path: Path, images: Iterable[Image], fps: float) -> None:
    """Write frames to a video as they come, in H.264 for a name that ends in ``.mp4``.

    All frames have the size of the first; a last odd row or column is left out, which H.264 does
    not have. The file appears under its name when it is complete.

    Args:
        path: The file; the ending of its name selects the format.
        images: The frames.
        fps: Frames per second.

    Raises:
        InputError: There is no frame, or PyAV is missing.
        OSError: The file cannot be written.
    """
    write_atomically(path, lambda file: _encode(file, path, images, fps))


def _encode(file: Path, path: Path, images: Iterable[Image], fps: float) -> None:
    av = import_av()
    codec = next(name for name in _ENCODERS if name in av.codec.codecs_available)
    options = {"crf": "23", "preset": "veryfast"} if codec == "libx264" else {"b": "4M"}
    # 30000 / 1001 has the largest denominator of the rates in use.
    rate = Fraction(fps).limit_denominator(1001)
    stream: Any = None
    try:
        with av.open(f"file:{file}", "w") as container:
            for image in images:
                height, width = (length // 2 * 2 for length in image.shape[:2])
                if stream is None:
                    stream = container.add_stream(codec, rate=rate, options=options)
                    stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
                even = np.ascontiguousarray(image[:height, :width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            if stream is None:
                raise InputError(f"{path}: there is no frame to write")
            container.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def import_av() -> Any:
    """PyAV, which decodes and encodes videos with FFmpeg.

    Raises:
        InputError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError(f"videos need the package av (PyAV); install it: {INSTALL}") from error
    return av


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    av = import_av()
    # FFmpeg takes names such as "concat:a" for protocols.
    try:
        opened = av.open(f"file:{path}")
    except av.error.FFmpegError as error:
        wrong = "cannot be read" if isinstance(error, OSError) else "is no video that FFmpeg knows"
        raise InputError(f"{path}: {wrong} ({error.strerror})") from error
    with opened as container:
        if not container.streams.video:
            raise InputError(f"{path}: has no frames, only sound or text; name a video")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _decode(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    av = import_av()
    count = 0
    try:
        for frame in container.decode(stream):
            yield frame
            count += 1
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path}: is damaged after {count:,} frames ({error.strerror}); keep the good part, or "
            f"repair it: ffmpeg -i {path.name} repaired.mp4"
        ) from error


def to_image(frame: VideoFrame, height: int | None = None, width: int | None = None) -> Image:
    """The upright image of a decoded frame, resized if it has another size."""
    turns = round(frame.rotation / 90) % 4
    if turns % 2:
        height, width = width, height
    image: Any = frame.to_ndarray(format="rgb24", height=height, width=width)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
