"""OpenPose: a JSON file a frame."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_files import FrameFiles, check_numbers
from pyg_stgcn.poses.pose_reader import PoseHints, clean_joints, common_step, skeleton_by_count
from pyg_stgcn.poses.recording import Frame, Recording

LAYOUTS = {18: "openpose18", 25: "openpose25"}
#: The key of OpenPose 1.2 and later, and that of the versions before.
_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_PEOPLE = re.compile(rb'\s*\{[^[]*"people"\s*:')


class OpenPoseReader:
    """Reader of OpenPose's ``--write_json``, and of AlphaPose's ``--format open``.

    Only the joints of the body are read, not those of hands and faces. The keypoints have the
    coordinates x, y in pixels and a score; a missing joint is ``0, 0, 0``.

    Source: https://github.com/CMU-Perceptual-Computing-Lab/openpose, doc/02_output.md.
    """

    format = "OpenPose JSON"

    def recognises(self, path: Path, head: bytes) -> bool:
        return _PEOPLE.match(head.removeprefix(b"\xef\xbb\xbf")) is not None

    def open(self, files: FrameFiles, hints: PoseHints) -> Recording:
        first, last = files.numbers[0], files.numbers[-1]
        check_numbers(files.folder, first, last)
        step = common_step(files.numbers)
        skeleton = skeleton_by_count(*_first_person(files), hints, LAYOUTS)

        def frames() -> Iterator[Frame]:
            for number, path in zip(files.numbers, files.paths(), strict=True):
                yield _read_frame(number, path, skeleton.num_joints)

        return Recording(
            files.name,
            files.folder if len(files.names) > 1 else files.folder / files.names[0],
            skeleton,
            frames,
            num_channels=2,
            has_score=True,
            image_size=hints.image_size,
            fps=hints.fps,
            num_frames=(last - first) // step + 1,
            step=step,
        )


def _first_person(files: FrameFiles) -> tuple[Path, int]:
    """The first file with a person, and the number of joints in it."""
    for path in files.paths():
        for person in _read_people(path):
            return path, len(_keypoints(path, person)) // 3
    raise InputError(
        f"{files.folder}: none of the {len(files.names)} files of {files.name!r} has a person in it"
    )


def _read_frame(number: int, path: Path, num_joints: int) -> Frame:
    people = _read_people(path)
    keypoints = [_keypoints(path, person) for person in people]
    for values in keypoints:
        if len(values) != 3 * num_joints:
            raise InputError(
                f"{path}: has {len(values)} numbers a person, while other frames have "
                f"{3 * num_joints}; put recordings of different layouts into different folders"
            )
    try:
        array = np.array(keypoints, np.float32).reshape(-1, num_joints, 3)
    except (TypeError, ValueError):
        raise InputError(f"{path}: the keypoints are not numbers") from None
    joints, scores = clean_joints(array[..., :2], array[..., 2], str(path))
    ids = list(takewhile(lambda one: one >= 0, map(_person_id, people)))
    tracks = np.array(ids, np.int64) if ids and len(ids) == len(people) else None
    return Frame(number, joints, scores, tracks)


def _read_people(path: Path) -> list[Any]:
    try:
        people = json.loads(path.read_bytes())["people"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: damaged, or not a file of OpenPose ({error}); write it again, or remove it"
        ) from None
    if not isinstance(people, list):
        raise InputError(f"{path}: the people are not in a list; write the file again")
    return people


def _keypoints(path: Path, person: Any) -> list[Any]:
    for key in _KEYS:
        values = person.get(key) if isinstance(person, dict) else None
        if isinstance(values, list) and values:
            return values
    raise InputError(
        f"{path}: a person has no {' or '.join(_KEYS)}; write the JSON files with the body's joints"
    )


def _person_id(person: Any) -> int:
    """Identity from OpenPose's tracking; -1 without it."""
    value = person.get("person_id")
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) else -1
