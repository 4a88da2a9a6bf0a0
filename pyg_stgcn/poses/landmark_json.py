"""Readers of landmarks in JSON, as people write them from MediaPipe and similar programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.json_people import (
    FRAME_KEYS,
    RawPerson,
    find_frame,
    is_collection,
    open_json,
    open_json_files,
)
from pyg_stgcn.poses.layout_names import find_layout
from pyg_stgcn.poses.pose_reader import HEAD_BYTES, PoseHints
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.skeletons import Skeleton

#: Entries that hold landmarks in the image, in the order in which they are looked for, and those
#: of landmarks in space, which are read where the others are missing.
_IMAGE_KEYS = (
    *("pose_landmarks", "poseLandmarks", "landmarks", "landmark", "hand_landmarks"),
    *("handLandmarks", "multi_hand_landmarks", "multiHandLandmarks", "hands", "poses", "people"),
    *("persons", "keypoints", "pose", "joints"),
)
_SPACE_KEYS = (
    *("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks"),
    *("hand_world_landmarks", "handWorldLandmarks", "multi_hand_world_landmarks"),
    "multiHandWorldLandmarks",
)
_HAND_KEYS = (
    ("left_hand_landmarks", "leftHandLandmarks", "left_hand"),
    ("right_hand_landmarks", "rightHandLandmarks", "right_hand"),
)
_SIDE_KEYS = ("handedness", "multi_handedness", "multiHandedness", "handednesses", "hand", "label")
_TRACK_KEYS = ("track_id", "trackId", "person_id", "personId", "id")
_SCORE_KEYS = ("visibility", "score", "confidence", "presence")
_NAME_KEYS = ("name", "part", "id", "type")
#: Numbers of a person in one row: joints and channels.
_FLAT = {132: (33, 4), 99: (33, 3), 66: (33, 2), 84: (21, 4), 63: (21, 3), 42: (21, 2)}
#: Nothing of fewer joints is a body or a hand.
_MIN_JOINTS = 5
_LANDMARK = re.compile(rb'"x"\s*:\s*(?:-?\d|null|NaN)')
_NESTED = re.compile(rb"\s*\[\s*(?:null\s*,\s*)*\[\s*(?:\[\s*){1,2}-?\d")
_KEY = re.compile(rb'"(?:\w*[lL]andmarks?"\s*:\s*\[|keypoints"\s*:\s*\[\s*\[)')


class LandmarkReader:
    """Reader of JSON files with the landmarks of all frames.

    A file is a list of frames, an object with such a list as ``frames``, an object of frames by
    number, or one frame a line. A frame is a landmark list, or an object with one, such as
    ``pose_landmarks`` or ``landmarks``; or with several, one a person or hand. A landmark list has
    objects with x, y, perhaps z and a visibility, or lists of these numbers, or is an object of
    landmarks by name. The image's landmarks are read in 2-D; their z is relative to the hips and is
    left out. World landmarks, where there are no others, are 3-D in metres.
    """

    format = "MediaPipe landmarks (JSON)"

    def recognises(self, path: Path, head: bytes) -> bool:
        return _is_landmarks(head) and not _is_frame(head)

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        return [open_json(path, find_people, hints)]


class LandmarkFileReader:
    """As :class:`LandmarkReader`, for files of one frame each."""

    format = "MediaPipe landmarks (JSON, a file a frame)"

    def recognises(self, path: Path, head: bytes) -> bool:
        return _is_landmarks(head) and _is_frame(head)

    def open_files(self, files: FrameFiles, hints: PoseHints) -> Recording:
        return open_json_files(files, find_people, hints)


def find_people(item: Any, given: Skeleton | None) -> list[RawPerson]:
    """The persons or hands in the value of a frame.

    Args:
        item: The value.
        given: The layout that the user names.

    Raises:
        InputError: A landmark does not have numbers.
    """
    if isinstance(item, Mapping) and "id" in item and not any(key in item for key in FRAME_KEYS):
        item = {key: value for key, value in item.items() if key != "id"}  # That of the frame.
    return _find_people(item, given)


def _find_people(item: Any, given: Skeleton | None) -> list[RawPerson]:
    person = _read_landmarks(item, given)
    if person is not None:
        return [person]
    if isinstance(item, list):
        return [person for one in item for person in _find_people(one, given)]
    if not isinstance(item, Mapping):
        return []
    keys = [key for key in (*_IMAGE_KEYS, *_SPACE_KEYS) if key in item]
    for key in keys:
        if people := _find_people(item[key], given):
            return _with_tracks(people, item)
    # Where a body is missed in a frame, its hands are not persons instead.
    return [] if keys else _find_hands(item, given)


def _find_hands(item: Mapping[str, Any], given: Skeleton | None) -> list[RawPerson]:
    """The hands of an object with an entry for each side."""
    hands: list[RawPerson] = []
    for side, keys in enumerate(_HAND_KEYS):
        value = next((item[key] for key in keys if item.get(key)), None)
        hands += [hand._replace(track=side) for hand in _find_people(value, given)]
    return hands


def _with_tracks(people: list[RawPerson], item: Mapping[str, Any]) -> list[RawPerson]:
    """Persons with the identities, and hands with the sides, that are beside their landmarks."""
    for key in _TRACK_KEYS if len(people) == 1 else ():
        track = item.get(key)
        if isinstance(track, int) and not isinstance(track, bool) and track >= 0:
            return [people[0]._replace(track=track)]
    value = next((item[key] for key in _SIDE_KEYS if key in item), None)
    sides = [_side(one) for one in (value if isinstance(value, list) else [value])]
    if len(sides) != len(people) or None in sides:
        return people
    return [one._replace(track=side) for one, side in zip(people, sides, strict=True)]


def _side(value: Any) -> int | None:
    """0 for a left hand, 1 for a right one."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, Mapping):
        inner = value.get("classification")
        if inner is not None:
            return _side(inner)
        names = ("label", "category_name", "categoryName", "display_name", "displayName")
        value = next((value[name] for name in names if name in value), None)
    return {"left": 0, "right": 1}.get(value.lower()) if isinstance(value, str) else None


def _read_landmarks(value: Any, given: Skeleton | None) -> RawPerson | None:
    """One person, if the value is a landmark list."""
    if isinstance(value, Mapping):
        landmarks = list(value.values())
        if len(landmarks) >= _MIN_JOINTS and all(map(_is_landmark, landmarks)):
            return _from_objects(landmarks, list(value), given)
        return None
    if not isinstance(value, list) or len(value) < _MIN_JOINTS:
        return None
    if all(map(_is_landmark, value)):
        key = next((key for key in _NAME_KEYS if isinstance(value[0].get(key), str)), None)
        names = [str(one.get(key)) for one in value] if key is not None else []
        return _from_objects(value, names, given)
    lengths = {len(one) if isinstance(one, list) else 0 for one in value}
    if lengths == {0} and len(value) in _FLAT and all(map(_is_number, value)):
        value = np.reshape(_numbers(value), _FLAT[len(value)]).tolist()
        lengths = {len(value[0])}
    if len(lengths) == 1 and lengths <= {2, 3, 4, 5} and all(map(_is_number, value[0])):
        values = _numbers(value)[:, :4]
        return RawPerson(values, {2: "xy", 3: "xy?", 4: "xyzs"}[values.shape[1]])
    return None


def _from_objects(
    landmarks: Sequence[Mapping[str, Any]], names: Sequence[str], given: Skeleton | None
) -> RawPerson:
    present = {key for one in landmarks for key in one}
    keys = ["x", "y", *(["z"] if "z" in present else [])]
    score = next((key for key in _SCORE_KEYS if key in present), None)
    # A message of protobuf as a dict lacks the numbers that are zero.
    rows = [[one.get(key, 0) for key in (*keys, score) if key] for one in landmarks]
    values = _numbers(rows)
    channels = "".join(keys) + ("s" if score else "")
    skeleton, order = _find_order(tuple(names), given)
    return RawPerson(values if order is None else values[order], channels, skeleton)


@lru_cache(maxsize=64)
def _find_order(
    names: tuple[str, ...], given: Skeleton | None
) -> tuple[Skeleton | None, list[int] | None]:
    """The layout by the names of landmarks, and the places of its joints among them."""
    found = find_layout(names, given)
    return (found[0], [names.index(joint) for joint in found[1]]) if found else (None, None)


def _is_landmark(value: Any) -> bool:
    return isinstance(value, Mapping) and ("x" in value or "y" in value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _numbers(values: Any) -> NDArray[np.float64]:
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        raise InputError("a landmark has values that are not numbers; correct them") from None


def _is_landmarks(head: bytes) -> bool:
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"[", b"{"):
        return False
    found = (_LANDMARK.search(head), _KEY.search(head), _NESTED.match(head))
    return any(match is not None for match in found)


def _is_frame(head: bytes) -> bool:
    """Whether a file is small, and the value of one frame."""
    if len(head) == HEAD_BYTES:
        return False
    item = find_frame(head)
    if _read_landmarks(item, None) is not None:
        return True
    return isinstance(item, Mapping) and not is_collection(item)
