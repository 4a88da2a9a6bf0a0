"""Poses of a camera, estimated image by image."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.estimators import PoseEstimator, create_estimator
from pyg_stgcn.poses.live_items import LiveItems
from pyg_stgcn.poses.open_video import find_persons
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.video_file import Image, import_av, to_image

#: FFmpeg's input and its first camera, by system.
_INPUTS = {
    "Linux": ("v4l2", "/dev/video0"),
    "Darwin": ("avfoundation", "default"),
    "Windows": ("dshow", "video=Integrated Camera"),
}


def open_camera(
    device: str | None = None,
    estimator: PoseEstimator | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Recording:
    """Open a camera as a recording, of which there is a single pass that goes on.

    Images that come while the poses of another one are estimated are dropped but for the newest,
    so that poses are never late; see :attr:`Frame.dropped`.

    Args:
        device: The camera as FFmpeg names it (default: the first one): ``/dev/video0`` on Linux,
            a number on macOS, ``video=NAME`` on Windows; or the address of a network camera, such
            as ``rtsp://192.168.1.20/live``.
        estimator: A pose estimator (default: MoveNet).
        should_stop: Ends the frames if it is true.

    Raises:
        InputError: There is no such camera, it cannot be opened, or a package is missing.
    """
    av = import_av()
    system, first = _INPUTS.get(platform.system(), _INPUTS["Linux"])
    device = device or first
    try:
        container = av.open(device, format=None if "://" in device else system)
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"camera {device}: cannot be opened ({reason}); check that it is connected, that no "
            "other program uses it, and that you may read it"
        ) from error
    with contextlib.ExitStack() as stack:
        stack.enter_context(container)
        if not container.streams.video:
            raise InputError(f"camera {device}: gives no images; name a camera, or another source")
        estimator = estimator or create_estimator()
        images = _images(container, device, stack.pop_all())
    live = LiveItems(images, size=1, drop=True, should_stop=should_stop)
    stream = container.streams.video[0]
    return Recording(
        name=device,
        path=Path(device),
        skeleton=estimator.skeleton,
        frames=lambda: _estimate(live, estimator, device),
        num_channels=2,
        has_score=True,
        image_size=(stream.height, stream.width),
        fps=float(stream.average_rate) if stream.average_rate else None,
    )


def _images(
    container: Any, device: str, stack: contextlib.ExitStack
) -> Iterator[tuple[Image, float]]:
    """The images, and when they came in seconds after the first one."""
    av, start = import_av(), time.monotonic()
    with stack:
        try:
            for frame in container.decode(video=0):
                yield to_image(frame), time.monotonic() - start
        except av.error.FFmpegError as error:
            raise InputError(f"camera {device}: gives no more images ({error.strerror})") from error


def _estimate(
    live: LiveItems[tuple[Image, float]], estimator: PoseEstimator, device: str
) -> Iterator[Frame]:
    number = -1
    for (image, seconds), dropped in live:
        number += dropped + 1
        found = find_persons(image, estimator, f"camera {device}: image {number:,}")
        yield Frame(number, *found, time=seconds, dropped=dropped)
