"""OpenPose: a JSON file a frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.coordinates import find_meaning
from pyg_stgcn.poses.frame_file_recording import frame_file_recording
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.json_stream import read_json_file
from pyg_stgcn.poses.person_arrays import (
    NO_PERSONS,
    NoPersonsError,
    Persons,
    parse_identity,
    parse_keypoints,
)
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Frame, Recording

LAYOUTS = {18: "openpose18", 25: "openpose25"}
#: The key of OpenPose 1.2 and later, and that of the versions before.
_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_PEOPLE = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{[^[{]*"people"\s*:\s*\[')


class OpenPoseReader:
    """Reader of OpenPose's ``--write_json``, and of the files that AlphaPose writes in its form.

    Only the joints of the body are read, not those of hands and faces. Each joint has x, y and a
    score; a missing joint has the score 0. With ``--keypoint_scale 3`` and ``4``, x and y are
    fractions of the image or go from -1 to 1; they become pixels.

    Source: https://github.com/CMU-Perceptual-Computing-Lab/openpose, doc/02_output.md.
    """

    format = "OpenPose JSON"

    def recognises(self, path: Path, head: bytes) -> bool:
        return _PEOPLE.match(head) is not None

    def open_files(self, files: FrameFiles, hints: PoseHints) -> Recording:
        return _in_pixels(frame_file_recording(files, _read_file, LAYOUTS, hints))


def _in_pixels(recording: Recording) -> Recording:
    """The recording with coordinates in pixels; the first frame with joints tells the unit.

    Raises:
        InputError: Coordinates are fractions of an image of unknown size.
    """
    values = (np.concatenate([f.joints, f.scores[..., None]], 2) for f in recording.frames())
    sample = next((one for one in values if one.any()), None)
    if sample is None:
        raise NoPersonsError(f"{recording.path}: no person has a joint; name another recording")
    meaning, _ = find_meaning(
        sample, recording.skeleton, recording.image_size, str(recording.path), axes=2, score=2
    )
    if meaning.offset == 0 and meaning.scale == (1, 1):
        return recording
    offset, scale = np.float32(meaning.offset), np.array(meaning.scale, np.float32)

    def frames() -> Iterator[Frame]:
        for frame in recording.frames():
            joints = np.where(frame.scores[..., None] > 0, (frame.joints + offset) * scale, 0)
            yield frame._replace(joints=joints)

    return replace(recording, frames=frames, image_size=meaning.image_size)


def _read_file(path: Path) -> Persons:
    people = _read_people(path)
    if not people:
        return NO_PERSONS
    keypoints = [parse_keypoints(_keypoints(path, person), str(path)) for person in people]
    if len({one.shape for one in keypoints}) > 1:
        lengths = ", ".join(str(one.shape[1]) for one in keypoints)
        raise InputError(f"{path}: persons have different joints ({lengths}); write it again")
    array = np.concatenate(keypoints)
    return Persons(array[..., :2], array[..., 2], [_identity(person) for person in people])


def _read_people(path: Path) -> list[Any]:
    content = read_json_file(path)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise InputError(f"{path}: people is {shown(people)}, not a list; write it again")
    return people


def _keypoints(path: Path, person: Any) -> list[Any]:
    for key in _KEYS:
        values = person.get(key) if isinstance(person, dict) else None
        if isinstance(values, list) and values:
            return values
    raise InputError(
        f"{path}: a person has no {' or '.join(_KEYS)}; write the files with the joints of the body"
    )


def _identity(person: dict[str, Any]) -> int:
    value = person.get("person_id")
    return parse_identity(value[0] if isinstance(value, list) and value else value)
