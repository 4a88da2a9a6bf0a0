"""Poses of a source that may never end, with the joints of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import is_video
from pyg_stgcn.poses.camera import open_camera
from pyg_stgcn.poses.estimators import create_estimator
from pyg_stgcn.poses.live_items import LiveItems
from pyg_stgcn.poses.open_video import open_video
from pyg_stgcn.poses.pose_lines import open_pose_lines, split_lines
from pyg_stgcn.poses.pose_reader import HEAD_BYTES, PoseHints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.recognition.pose_files import (
    PoseOptions,
    default_layout,
    fit_to_model,
    open_recordings,
    warn_of_another_order,
)
from pyg_stgcn.skeletons import Skeleton, get_skeleton

#: Names of a camera: the first one, and another.
CAMERA = "camera"
#: Endings of files with a line of JSON for each frame.
_LINES = (".jsonl", ".ndjson")
#: Lines that wait while one is worked on.
_WAITING = 64
_PIECE = 1 << 16


@dataclass(frozen=True)
class LiveOptions:
    """How the poses of a source are read.

    Args:
        poses: How pose files are read; the same hints hold for lines and cameras.
        estimator: Name of the pose estimator of videos and cameras.
        drop: Whether lines that come faster than they are worked on are dropped; else their writer
            waits.
        should_stop: Ends the frames if it is true.
    """

    poses: PoseOptions
    estimator: str = "movenet"
    drop: bool = False
    should_stop: Callable[[], bool] = lambda: False


def is_camera(source: str) -> bool:
    """Whether the name of a source is that of a camera."""
    return source == CAMERA or source.startswith(f"{CAMERA}:")


def open_live_poses(source: str, about: Mapping[str, Any], options: LiveOptions) -> Recording:
    """Open a camera, a video, a pose file, or a file with a line of JSON for each frame.

    Args:
        source: ``camera`` for the first one, ``camera:NAME`` for another; else a file or a folder
            of files of one frame each.
        about: The description of the model, see :func:`~pyg_stgcn.recognition.describe`.
        options: How it is read.

    Raises:
        InputError: There is no such source, or its poses are not those that the model reads.
    """
    if is_camera(source):
        estimator = create_estimator(options.estimator)
        device = source.removeprefix(CAMERA).removeprefix(":") or None
        camera = open_camera(device, estimator, should_stop=options.should_stop)
        return fit_to_model(camera, about)
    path = Path(source)
    if path.suffix.lower() in _LINES or path.is_fifo():
        return open_live_lines(_pieces_of(path), about, options, source)
    recording = fit_to_model(_open_file(path, about, options), about)
    return _until(recording, options.should_stop)


def open_live_lines(
    pieces: Iterable[bytes],
    about: Mapping[str, Any],
    options: LiveOptions,
    name: str = "standard input",
) -> Recording:
    """Open poses in lines of JSON, see :func:`~pyg_stgcn.poses.pose_lines.open_pose_lines`.

    Args:
        pieces: The bytes, in pieces as they come.
        about: The description of the model.
        options: How they are read.
        name: Name of the source, for messages.

    Raises:
        InputError: No line is a frame, or its poses are not those that the model reads.
    """
    target, given = Skeleton.from_dict(about["skeleton"]), options.poses.skeleton
    skeleton = get_skeleton(given) if isinstance(given, str) else given
    found = split_lines(pieces)
    if options.drop:
        found = (line for line in found if line.strip())  # An empty line must not displace a frame.
    lines = LiveItems(
        found,
        size=1 if options.drop else _WAITING,
        drop=options.drop,
        should_stop=options.should_stop,
    )
    recording = open_pose_lines(
        lines,
        num_channels=2 if about["preprocessing"]["has_score"] else 3,
        hints=PoseHints(
            skeleton or default_layout(target), options.poses.image_size, options.poses.fps
        ),
        name=name,
    )
    if skeleton is None:
        warn_of_another_order(recording.skeleton, target)
    return fit_to_model(recording, about)


def _pieces_of(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            yield from iter(lambda: file.read(_PIECE), b"")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _open_file(path: Path, about: Mapping[str, Any], options: LiveOptions) -> Recording:
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if is_video(head):
            return open_video(path, create_estimator(options.estimator))
    recordings = open_recordings(path, about, options.poses)
    if len(recordings) > 1:
        names = ", ".join(recording.name for recording in recordings[:3])
        raise InputError(
            f"{path}: has {len(recordings):,} recordings, such as {names}; name a file of one"
        )
    return recordings[0]


def _until(recording: Recording, should_stop: Callable[[], bool]) -> Recording:
    def frames() -> Iterator[Frame]:
        return takewhile(lambda _: not should_stop(), recording.frames())

    return replace(recording, frames=frames)
