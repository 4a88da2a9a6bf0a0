"""The package's own pose files: MMPose's form, with all that a recording knows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_place, write_atomically
from pyg_stgcn.poses.frame_names import MAX_NUMBER
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.ranges import FRAME_RATE, Range, whole
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
        # Numbers of NumPy cannot be written as JSON.
        "image_size": recording.image_size and [float(side) for side in recording.image_size],
        "fps": recording.fps and float(recording.fps),
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
    for key, (is_valid, meaning) in _FIELDS.items():
        if (value := meta.get(key)) is None:
            continue
        if not is_valid(value):
            raise InputError(
                f"{recording.path}: meta_info: {key} is {shown(value)}, not {meaning}; correct it"
            )
        yield key, tuple(value) if isinstance(value, list) else value


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(one in _PIXELS for one in value)


_PIXELS = Range(0, 10**6, low_open=True)
_FRAMES = whole(1, MAX_NUMBER)
#: What a file may say of a recording: the check of the value, and its meaning in errors.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "a text"),
    "image_size": (_is_size, "height and width in pixels"),
    "fps": (FRAME_RATE.__contains__, "a number of frames per second"),
    "num_frames": (_FRAMES.__contains__, "a number of frames"),
    "step": (_FRAMES.__contains__, "a number of frames"),
    "has_score": (lambda value: isinstance(value, bool), "true or false"),
}
