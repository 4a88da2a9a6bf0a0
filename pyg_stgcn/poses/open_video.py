"""Poses of a video, estimated when they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import is_video
from pyg_stgcn.poses.estimators import PoseEstimator, create_estimator
from pyg_stgcn.poses.person_arrays import clean_joints, parse_array
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.spool import Spool
from pyg_stgcn.poses.video_file import Image, Video, open_video_file


def open_video(
    path: str | os.PathLike[str], estimator: PoseEstimator | str | None = None
) -> Recording:
    """Open a video as a recording: the first pass over its frames estimates the poses.

    Frames are numbered from 0, in the order in which they are shown. All of them come, those
    without a person too. Only one frame is in memory at a time. The poses are kept in a temporary
    file, so that further passes take no time.

    Args:
        path: The video.
        estimator: A pose estimator, or its name for
            :func:`~pyg_stgcn.poses.estimators.create_estimator` (default: MoveNet).

    Raises:
        InputError: The video or the estimator cannot be used, or a package is missing. While frames
            are read: the video is damaged, or the estimator returns something else than persons
            ``[M, V, 3]`` with finite values.

    Example:
        >>> recording = open_video("clip.mp4")  # doctest: +SKIP
        >>> [len(frame.joints) for frame in recording.frames()]  # doctest: +SKIP
        [2, 2, 2]
    """
    video = open_video_file(Path(path))
    if estimator is None:
        estimator = _default_estimator()
    elif isinstance(estimator, str):
        estimator = create_estimator(estimator)
    return Recording(
        name=video.path.stem,
        path=video.path,
        skeleton=estimator.skeleton,
        frames=Spool(lambda: _estimate(video, estimator), estimator.skeleton.num_joints),
        num_channels=2,
        has_score=True,
        image_size=video.image_size,
        fps=video.fps,
        num_frames=video.num_frames,
    )


class VideoReader:
    """Reader of videos: a :class:`~pyg_stgcn.poses.pose_reader.PoseReader` that estimates poses."""

    format = "videos"

    def recognises(self, path: Path, head: bytes) -> bool:
        return is_video(head)

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        recording = open_video(path)
        return [replace(recording, fps=recording.fps or hints.fps)]


@cache
def _default_estimator() -> PoseEstimator:
    """One for all videos: it holds the model in memory."""
    return create_estimator()


def _estimate(video: Video, estimator: PoseEstimator) -> Iterator[Frame]:
    for number, image in enumerate(video.frames()):
        yield Frame(number, *find_persons(image, estimator, f"{video.path}: frame {number}"))


def find_persons(
    image: Image, estimator: PoseEstimator, where: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The persons in an image: joints ``[M, V, 2]`` and scores ``[M, V]``.

    Args:
        image: ``[H, W, 3]``.
        estimator: The pose estimator.
        where: Name of the image, for errors.

    Raises:
        InputError: The estimator returns something else than persons ``[M, V, 3]`` with finite
            values.
    """
    persons, joints = parse_array(estimator(image)), estimator.skeleton.num_joints
    if persons.ndim != 3 or persons.shape[1:] != (joints, 3):
        raise InputError(
            f"{where}: the estimator returns an array of shape {persons.shape}; return "
            f"[persons, {joints}, 3] with x, y, score for skeleton {estimator.skeleton.name!r}"
        )
    return clean_joints(persons[..., :2], persons[..., 2], where)
