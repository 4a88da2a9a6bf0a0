"""MMPose: JSON files of videos, and of single images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_file_recording import frame_file_recording
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.indexed_file import Entry, find_places, indexed_recording
from pyg_stgcn.poses.json_head import first_item, first_member
from pyg_stgcn.poses.json_stream import JsonStream, read_json_file
from pyg_stgcn.poses.layout_names import find_layout, missing_joints
from pyg_stgcn.poses.person_arrays import NO_PERSONS, Persons, parse_array, parse_identity
from pyg_stgcn.poses.pose_reader import PoseHints, skeleton_by_count
from pyg_stgcn.poses.poses_file import apply_description, described_skeleton
from pyg_stgcn.poses.recording import Recording
from pyg_stgcn.skeletons import Skeleton

#: Layouts of 2-D files without joint names, by number of joints. Bodies with hands and face begin
#: with the joints of the body.
LAYOUTS = {17: "coco17", 21: "hand21", 26: "halpe26", 133: "coco17", 136: "halpe26"}


class MMPoseReader:
    """Reader of MMPose's predictions of a video, and of the files of :func:`write_poses`.

    The inferencer writes a list of frames with ``frame_id`` and ``instances``; each instance has
    ``keypoints`` ``[V, 2]`` or ``[V, 3]`` and ``keypoint_scores`` ``[V]``. The demo programs put
    that list into ``instance_info``, and the names of the joints into ``meta_info``.

    Source: https://github.com/open-mmlab/mmpose, docs/en/user_guides/inference.md.
    """

    format = "MMPose predictions"

    def recognises(self, path: Path, head: bytes) -> bool:
        if (frame := first_item(head)) is not None:
            return "instances" in frame
        member = first_member(head)
        return member is not None and member[0] in ("meta_info", "instance_info")

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        meta: dict[str, Any] = {}
        with path.open("rb") as file:
            found = find_places(path, _entries(JsonStream(path, file), meta), decode_frame)
        recordings = []
        for places in found:
            shape = (places.num_joints, places.num_channels)
            skeleton, kept = _find_skeleton(path, meta, shape, hints)
            recording = indexed_recording(
                path, places, decode_frame, skeleton, hints, kept=kept, is_only=len(found) == 1
            )
            recordings.append(apply_description(recording, meta))
        return recordings


class MMPoseImageReader:
    """Reader of MMPose's predictions of images: a file an image, with a list of instances."""

    format = "MMPose predictions of images"

    def recognises(self, path: Path, head: bytes) -> bool:
        person = first_item(head)
        return person is not None and "keypoints" in person and "keypoint_scores" in person

    def open_files(self, files: FrameFiles, hints: PoseHints) -> Recording:
        return frame_file_recording(files, _read_image, LAYOUTS, hints)


def _read_image(path: Path) -> Persons:
    return decode_frame({"instances": read_json_file(path)}, str(path))


def _entries(stream: JsonStream, meta: dict[str, Any]) -> Iterator[Entry]:
    """The frames of a file; ``meta_info`` is put into a dictionary."""
    if stream.peek() == "[":
        yield from _frames(stream)
    else:
        for key in stream.members():
            if key == "instance_info":
                yield from _frames(stream)
                continue
            value = stream.value()
            if key == "meta_info" and isinstance(value, dict):
                meta.update(value)
    stream.end()


def _frames(stream: JsonStream) -> Iterator[Entry]:
    for _ in stream.items():
        offset, frame = stream.offset, stream.value()
        number = frame.get("frame_id", 0) if isinstance(frame, dict) else None
        if isinstance(number, bool) or not isinstance(number, (int, str)):
            raise stream.error(f"the frame_id is {shown(number)}, not a number")
        yield Entry(number, frame, offset, stream.offset - offset)


def decode_frame(frame: dict[str, Any], where: str) -> Persons:
    """The persons of a frame, or the one person of an entry for a person."""
    instances = frame.get("instances", [frame])
    if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances):
        raise InputError(
            f"{where}: the instances are {shown(instances)}, not a list of persons; write the "
            "file again"
        )
    if not instances:
        return NO_PERSONS
    joints = parse_array([one.get("keypoints") for one in instances])
    if joints.ndim != 3 or joints.shape[2] not in (2, 3):
        raise InputError(
            f"{where}: keypoints are {shown(instances[0].get('keypoints'))}, not a list of joints "
            "with two or three coordinates, the same number for each person; write the file again"
        )
    scores = np.zeros(joints.shape[:2], np.float32)
    if "keypoint_scores" in instances[0]:
        scores = parse_array([one.get("keypoint_scores") for one in instances])
    if scores.shape != joints.shape[:2]:
        raise InputError(
            f"{where}: keypoint_scores are {shown(instances[0]['keypoint_scores'])}, not a score "
            "for each joint; write the file again"
        )
    return Persons(joints, scores, [parse_identity(one.get("track_id")) for one in instances])


def _find_skeleton(
    path: Path, meta: dict[str, Any], shape: tuple[int, int], hints: PoseHints
) -> tuple[Skeleton, list[int]]:
    """The layout, and which joints of the file are those of the layout."""
    num_joints, num_channels = shape
    if (skeleton := described_skeleton(path, meta, num_joints)) is not None:
        return skeleton, list(range(num_joints))
    names = _joint_names(meta, num_joints)
    if names and (found := find_layout(names, hints.skeleton)) is not None:
        return found[0], [names.index(name) for name in found[1]]
    if names and hints.skeleton is None:
        nearest, missing = missing_joints(names, None)
        raise InputError(
            f"{path}: its joints are {shown(names)}, of no known layout ({nearest.name!r} has "
            f"also {', '.join(missing)}); describe the layout in a JSON file and name that as "
            "skeleton"
        )
    layouts = LAYOUTS if num_channels == 2 else {}
    skeleton = skeleton_by_count(path, num_joints, hints, layouts)
    return skeleton, list(range(skeleton.num_joints))


def _joint_names(meta: dict[str, Any], num_joints: int) -> list[str]:
    """The names of the joints, in order; empty if the file does not name all of them."""
    names = meta.get("keypoint_id2name")
    if not isinstance(names, dict):
        return []
    found = [names.get(str(number)) for number in range(num_joints)]
    return [name for name in found if isinstance(name, str)] if None not in found else []
