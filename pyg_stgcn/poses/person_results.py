"""JSON lists of persons, each with the image that it was found in: AlphaPose and COCO results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.checked import shown
from pyg_stgcn.poses.indexed_file import (
    Decode,
    Entry,
    Places,
    find_places,
    indexed_recording,
)
from pyg_stgcn.poses.json_head import first_item, first_member
from pyg_stgcn.poses.json_stream import JsonStream
from pyg_stgcn.poses.person_arrays import NO_PERSONS, Persons, parse_identity, parse_keypoints
from pyg_stgcn.poses.pose_reader import PoseHints, skeleton_by_count
from pyg_stgcn.poses.recording import Recording

#: Layouts by number of joints. Bodies with hands and face begin with the joints of the body.
LAYOUTS = {17: "coco17", 26: "halpe26", 68: "halpe26", 133: "coco17", 136: "halpe26"}
#: Keys of the persons of an image in AlphaPose's ``--format open`` and ``--format cmu``.
_PEOPLE = {"people": "pose_keypoints_2d", "bodies": "joints"}


class AlphaPoseReader:
    """Reader of AlphaPose's ``alphapose-results.json``.

    A list of persons with ``image_id``, ``keypoints`` (x, y, score of each joint) and ``idx``. The
    frame number is taken from the name of the image. ``idx`` is the identity of the person if
    AlphaPose tracked persons; otherwise it is the same for all and ignored. Files of the options
    ``--format open`` and ``--format cmu``, with 18 joints, are read too.

    Source: https://github.com/MVIG-SJTU/AlphaPose, doc/output.md.
    """

    format = "AlphaPose results"

    def recognises(self, path: Path, head: bytes) -> bool:
        if (person := first_item(head)) is not None:
            is_result = "image_id" in person and "keypoints" in person
            return is_result and ("idx" in person or "box" in person or _is_image(person))
        member = first_member(head)
        return (
            member is not None
            and member[1] is not None
            and not _PEOPLE.keys().isdisjoint(member[1])
        )

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        with path.open("rb") as file:
            is_list = JsonStream(path, file).peek() == "["
        if is_list:
            return _open_person_list(path, hints, LAYOUTS)
        return _open_images(path, hints)


class CocoResultsReader:
    """Reader of keypoint results in the form of COCO.

    A list of persons with ``image_id``, ``category_id``, ``keypoints`` (x, y, score of each joint)
    and ``score``, as MMPose, Detectron2 and ``yolo val save_json=True`` write it. Identities are
    read from ``track_id`` where there are any.

    Source: https://cocodataset.org/#format-results.
    """

    format = "COCO keypoint results"

    def recognises(self, path: Path, head: bytes) -> bool:
        person = first_item(head)
        return person is not None and "image_id" in person and "keypoints" in person

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        return _open_person_list(path, hints, {**LAYOUTS, 21: "hand21"})


def _open_person_list(path: Path, hints: PoseHints, layouts: Mapping[int, str]) -> list[Recording]:
    """The recordings of a JSON list of persons, told apart by the names of the images."""
    with path.open("rb") as file:
        stream = JsonStream(path, file)
        found = find_places(path, _persons(stream), _decode_person)
    return _recordings(path, found, _decode_person, hints, layouts)


def _open_images(path: Path, hints: PoseHints) -> list[Recording]:
    """The recordings of an object with a member for each image."""
    with path.open("rb") as file:
        stream = JsonStream(path, file)
        found = find_places(path, _images(stream), _decode_image)
    return _recordings(path, found, _decode_image, hints, {18: "openpose18"})


def _recordings(
    path: Path,
    found: list[Places],
    decode: Decode,
    hints: PoseHints,
    layouts: Mapping[int, str],
) -> list[Recording]:
    return [
        indexed_recording(
            path,
            places,
            decode,
            skeleton_by_count(path, places.num_joints, hints, layouts),
            hints,
            is_only=len(found) == 1,
        )
        for places in found
    ]


def _persons(stream: JsonStream) -> Iterator[Entry]:
    for _ in stream.items():
        offset, person = stream.offset, stream.value()
        image = person.get("image_id") if isinstance(person, dict) else None
        if isinstance(image, float) and image.is_integer():
            image = int(image)
        if isinstance(image, bool) or not isinstance(image, (int, str)):
            raise stream.error(f"the image_id is {shown(image)}, neither a number nor a name")
        yield Entry(image, person, offset, stream.offset - offset)
    stream.end()


def _images(stream: JsonStream) -> Iterator[Entry]:
    for image in stream.members():
        offset = stream.offset
        yield Entry(image, stream.value(), offset, stream.offset - offset)
    stream.end()


def _decode_person(person: dict[str, Any], where: str) -> Persons:
    """Take a person of a list apart: ``keypoints`` with x, y, score, and the identity."""
    keypoints = parse_keypoints(person.get("keypoints"), where)
    return Persons(keypoints[..., :2], keypoints[..., 2], [_identity(person)])


def _decode_image(image: Any, where: str) -> Persons:
    for people, key in _PEOPLE.items():
        if isinstance(image, dict) and isinstance(persons := image.get(people), list):
            rows = [person.get(key) if isinstance(person, dict) else None for person in persons]
            if not rows:
                break
            keypoints = np.concatenate([parse_keypoints(row, where) for row in rows])
            return Persons(keypoints[..., :2], keypoints[..., 2], [-1] * len(rows))
    return NO_PERSONS


def _identity(person: dict[str, Any]) -> int:
    """Identity of a person; -1 if unknown.

    AlphaPose without tracking writes lists of zeros; with tracking it writes a number, or the
    numbers of persons that it merged, of which the first counts.
    """
    value = person.get("idx", person.get("track_id"))
    merged = isinstance(value, list)
    while isinstance(value, list) and value:
        value = value[0]
    identity = parse_identity(value)
    return -1 if merged and identity == 0 else identity


def _is_image(person: dict[str, Any]) -> bool:
    name = person["image_id"]
    return isinstance(name, str) and name.lower().endswith((".jpg", ".jpeg", ".png", ".bmp"))
