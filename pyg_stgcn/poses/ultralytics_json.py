"""Readers of Ultralytics' results in JSON, as ``to_json`` and ``summary`` give them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.json_people import FRAME_KEYS, RawPerson, is_lines, open_json, open_json_files
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.skeletons import Skeleton

_KEYPOINTS = re.compile(rb'"keypoints"\s*:\s*\{\s*"x"\s*:\s*\[')
_BLANKS = re.compile(r"[\s\ufeff]*")


class UltralyticsJsonReader:
    """Reader of JSON files with the results of all frames.

    A file is a list with the ``summary()`` of each frame, an object of these by frame number, or
    one a line. Keypoints are in pixels, or in fractions of the image if they were normalised. A
    keypoint at (0, 0), which Ultralytics writes for those that it is not sure of, is missing.

    Source: https://docs.ultralytics.com/reference/engine/results/.
    """

    format = "Ultralytics results (JSON)"

    def recognises(self, path: Path, head: bytes) -> bool:
        return _KEYPOINTS.search(head) is not None and not _is_frame(head)

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        return [open_json(path, find_people, hints)]


class UltralyticsJsonFileReader:
    """As :class:`UltralyticsJsonReader`, for files of one frame each, as ``to_json`` writes it."""

    format = "Ultralytics results (JSON, a file a frame)"

    def recognises(self, path: Path, head: bytes) -> bool:
        return _KEYPOINTS.search(head) is not None and _is_frame(head)

    def open_files(self, files: FrameFiles, hints: PoseHints) -> Recording:
        return open_json_files(files, find_people, hints)


def find_people(item: Any, given: Skeleton | None) -> list[RawPerson]:
    """The persons in the value of a frame.

    Raises:
        InputError: The keypoints of a person are not lists of numbers of one length.
    """
    if isinstance(item, list):
        return [person for one in item for person in find_people(one, given)]
    if not isinstance(item, Mapping):
        return []
    keypoints = item.get("keypoints")
    if not isinstance(keypoints, Mapping):
        lists = [value for value in item.values() if isinstance(value, list)]
        return [person for one in lists for person in find_people(one, given)]
    parts = [keypoints.get("x"), keypoints.get("y"), keypoints.get("visible")]
    try:
        values = np.array([part for part in parts if part is not None], np.float64).T
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError("the keypoints of a person are not lists x and y of one length")
    track = item.get("track_id")
    return [
        RawPerson(values, "xys"[: values.shape[1]], track=track if type(track) is int else None)
    ]


def _is_frame(head: bytes) -> bool:
    """Whether the file is a list of persons without frame numbers."""
    if is_lines(head):
        return False
    text = head.decode(errors="ignore")
    start = _end_of_blanks(text, 0)
    if text[start : start + 1] != "[":
        return False
    first = _end_of_blanks(text, start + 1)
    if text[first : first + 1] != "{":
        return False
    try:
        person, _ = json.JSONDecoder().raw_decode(text, first)
    except ValueError:
        return False
    return "keypoints" in person and not any(key in person for key in FRAME_KEYS)


def _end_of_blanks(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    return start if found is None else found.end()
