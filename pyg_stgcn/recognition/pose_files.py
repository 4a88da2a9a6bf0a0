"""Pose files and videos as clips that a model can read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.poses.coordinates import LAYOUTS
from pyg_stgcn.poses.joint_names import joint_key
from pyg_stgcn.poses.layout_conversion import convert_layout
from pyg_stgcn.poses.open_poses import list_recordings, open_poses
from pyg_stgcn.poses.person_arrays import NoPersonsError
from pyg_stgcn.poses.pose_clip import PoseClip, clip_windows, collect_clip
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.windows import Windows

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoseOptions:
    """How pose files are read.

    Args:
        skeleton: Layout of the joints, for files that do not say it.
        image_size: Height and width of the images in pixels, for files that do not say it.
        fps: Frames per second, for files that do not say it.
        max_persons: Persons kept of a recording (default: 2, those seen best).
        windows: Windows that recordings are cut into (default: each recording is one clip).
    """

    skeleton: Skeleton | str | None = None
    image_size: tuple[float, float] | None = None
    fps: float | None = None
    max_persons: int | None = None
    windows: Windows | None = None


def list_pose_files(path: str | os.PathLike[str]) -> list[Path]:
    """The pose file itself, or those in a folder, each to be opened by :func:`open_recordings`.

    Raises:
        InputError: There is no such file, or no pose file in the folder.
    """
    path = Path(path)
    if path.is_dir():
        return list_recordings(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    return [path]


def open_recordings(
    path: Path, about: Mapping[str, Any], options: PoseOptions | None = None
) -> list[Recording]:
    """The recordings of a pose file, with their own joints.

    A file without persons is a recording of one empty frame.

    Args:
        path: A pose file, a folder of files of one frame each, or a video.
        about: The description of the model, see :func:`~pyg_stgcn.recognition.describe`.
        options: How the file is read.

    Raises:
        InputError: The file cannot be read.
    """
    options = options or PoseOptions()
    skeleton = Skeleton.from_dict(about["skeleton"])
    try:
        recordings = open_poses(
            path,
            skeleton=options.skeleton or default_layout(skeleton),
            image_size=options.image_size,
            fps=options.fps,
        )
    except NoPersonsError:
        planar = bool(about["preprocessing"]["has_score"])
        return [_empty_recording(path, skeleton, planar, options.fps)]
    if options.skeleton is None:
        for recording in recordings:
            warn_of_another_order(recording.skeleton, skeleton)
    return recordings


def fit_to_model(recording: Recording, about: Mapping[str, Any]) -> Recording:
    """The recording with the joints of a model.

    Raises:
        InputError: It lacks joints, coordinates or the size of images that the model needs.
    """
    planar = bool(about["preprocessing"]["has_score"])
    if recording.num_channels != (2 if planar else 3):
        raise InputError(
            f"{recording.path}: the model reads 2-D joints (x, y in pixels); these are 3-D: train "
            "on 3-D poses"
            if planar
            else f"{recording.path}: the model reads 3-D joints (x, y, z); these are 2-D: train on "
            "2-D poses, for example with the layout coco17"
        )
    if planar and recording.image_size is None:
        raise InputError(
            f"{recording.path}: does not say the size of its images, which a model of 2-D joints "
            "needs; give image_size, their height and width in pixels"
        )
    return convert_layout(recording, Skeleton.from_dict(about["skeleton"]))


def clips_of(recording: Recording, options: PoseOptions | None = None) -> Iterator[PoseClip]:
    """The recording as one clip, or its windows, which are read one after the other.

    Raises:
        InputError: A frame cannot be read, or the windows do not fit the recording.
    """
    options = options or PoseOptions()
    if options.windows is None:
        yield collect_clip(recording, max_persons=options.max_persons)
        return
    length, stride = options.windows.frames(recording.fps, recording.step, recording.path)
    yield from clip_windows(recording, length, stride, max_persons=options.max_persons)


def clips_of_path(
    path: str | os.PathLike[str], about: Mapping[str, Any], options: PoseOptions | None = None
) -> Iterator[PoseClip]:
    """The clips of all recordings of a path, which are read one after the other.

    Raises:
        InputError: As in :func:`list_pose_files`, :func:`open_recordings`, :func:`fit_to_model` and
            :func:`clips_of`.
    """
    for file in list_pose_files(path):
        for recording in open_recordings(file, about, options):
            yield from clips_of(fit_to_model(recording, about), options)


def default_layout(skeleton: Skeleton) -> Skeleton | None:
    """The layout of the model if no pose estimator has one with as many joints."""
    numbers = {number for layouts in LAYOUTS.values() for number in layouts}
    return None if skeleton.num_joints in numbers else skeleton


def warn_of_another_order(found: Skeleton, skeleton: Skeleton) -> None:
    """Warn if joints are put into another order because of their number alone."""
    read, wanted = ([joint_key(name) for name in one.joints] for one in (found, skeleton))
    if read != wanted and set(read) == set(wanted):
        warn_once(
            logger,
            f"poses of {found.num_joints} joints are taken for the layout {found.name!r}, and "
            f"their joints are put into the order of the model's skeleton {skeleton.name!r}; if "
            "they are in that order already, give it as skeleton",
        )


def _empty_recording(path: Path, skeleton: Skeleton, planar: bool, fps: float | None) -> Recording:
    """A recording of one frame without persons."""
    shape, channels = (0, skeleton.num_joints), 2 if planar else 3
    frame = Frame(0, np.zeros((*shape, channels), np.float32), np.zeros(shape, np.float32))
    return Recording(
        path.stem,
        path,
        skeleton,
        lambda: iter([frame]),
        num_channels=channels,
        has_score=True,
        image_size=(1, 1) if planar else None,
        fps=fps,
        num_frames=1,
    )
