"""The package's own pose files: MMPose's form, with all that a recording knows."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_place, write_atomically
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton


def write_poses(recording: Recording, path: str | os.PathLike[str]) -> None:
    """Write a recording as JSON, which :func:`~pyg_stgcn.poses.open_poses` reads back exactly.

    The file has the form of MMPose's predictions: ``meta_info`` with the layout, the image size,
    the frame rate and the step, and ``instance_info`` with a line a frame. Frames are written one
    by one, so that a long recording needs little memory.

    Args:
        recording: The recording.
        path: The new file; an existing one is replaced when the new one is complete.

    Raises:
        InputError: The folder does not exist, or a frame cannot be read.

    Example:
        >>> (recording,) = open_poses("alphapose-results.json")  # doctest: +SKIP
        >>> write_poses(recording, "poses.json")  # doctest: +SKIP
    """
    path = Path(path)
    check_place(path)

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8") as file:
            _write(recording, file)

    write_atomically(path, write)


def _write(recording: Recording, file: TextIO) -> None:
    file.write('{"meta_info": ' + json.dumps(_describe(recording)))
    file.write(',\n"instance_info": [')
    separator = "\n"
    for frame in recording.frames():
        persons = ", ".join(_persons(frame))
        file.write(f'{separator}{{"frame_id": {frame.number}, "instances": [{persons}]}}')
        separator = ",\n"
    file.write("\n]}\n")


def _persons(frame: Frame) -> Iterator[str]:
    joints, scores = _numbers(frame.joints), _numbers(frame.scores)
    for person in range(len(joints)):
        points = ", ".join(f"[{', '.join(point)}]" for point in joints[person])
        text = f'"keypoints": [{points}], "keypoint_scores": [{", ".join(scores[person])}]'
        if frame.tracks is not None:
            text += f', "track_id": {int(frame.tracks[person])}'
        yield f"{{{text}}}"


def _numbers(values: NDArray[np.float32]) -> Any:
    """The shortest texts of numbers that give the same numbers when read, in nested lists."""
    return values.astype(np.float32).astype("U16").tolist()


def _describe(recording: Recording) -> dict[str, Any]:
    skeleton = recording.skeleton
    return {
        "dataset_name": skeleton.name,
        "num_keypoints": skeleton.num_joints,
        "keypoint_id2name": {str(i): name for i, name in enumerate(skeleton.joints)},
        "skeleton_links": [list(bone) for bone in skeleton.bones],
        "skeleton": skeleton.to_dict(),
        "name": recording.name,
        "image_size": recording.image_size,
        "fps": recording.fps,
        "num_frames": recording.num_frames,
        "step": recording.step,
        "has_score": recording.has_score,
    }


def described_skeleton(path: Path, meta: Mapping[str, Any], num_joints: int) -> Skeleton | None:
    """The layout that a file describes; None if it does not.

    Raises:
        InputError: The description is damaged, or has another number of joints.
    """
    if "skeleton" not in meta:
        return None
    try:
        skeleton = Skeleton.from_dict(meta["skeleton"])
    except InputError as error:
        raise InputError(f"{path}: meta_info: skeleton: {error}") from None
    if skeleton.num_joints != num_joints:
        raise InputError(
            f"{path}: describes {skeleton.num_joints} joints, but persons have {num_joints}; "
            "write the file again"
        )
    return skeleton


def apply_description(recording: Recording, meta: Mapping[str, Any]) -> Recording:
    """A recording with what its file says of it.

    Args:
        recording: The recording, with what the user knows of it.
        meta: Content of ``meta_info``.

    Raises:
        InputError: A value is impossible.
    """
    return replace(recording, **dict(_described(recording, meta)))


def _described(recording: Recording, meta: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    size = meta.get("image_size")
    for key, value, is_valid in (
        ("name", meta.get("name"), isinstance(meta.get("name"), str)),
        ("fps", meta.get("fps"), _is_positive(meta.get("fps"))),
        ("num_frames", meta.get("num_frames"), _is_count(meta.get("num_frames"))),
        ("step", meta.get("step"), _is_count(meta.get("step"))),
        ("has_score", meta.get("has_score"), isinstance(meta.get("has_score"), bool)),
    ):
        if value is not None:
            if not is_valid:
                raise InputError(f"{recording.path}: meta_info: {key} is {value!r}; correct it")
            yield key, value
    if size is not None:
        if not isinstance(size, list) or len(size) != 2 or not all(map(_is_positive, size)):
            raise InputError(
                f"{recording.path}: meta_info: image_size is {size!r}, not height and width in "
                "pixels; correct it"
            )
        yield "image_size", tuple(size)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and value > 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
