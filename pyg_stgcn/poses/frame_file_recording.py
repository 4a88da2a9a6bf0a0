"""Recordings of files of one frame each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_files import FrameFiles
from pyg_stgcn.poses.person_arrays import (
    NoPersonsError,
    Persons,
    clean_joints,
    distinct_tracks,
)
from pyg_stgcn.poses.pose_reader import PoseHints, skeleton_by_count
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import count


def frame_file_recording(
    files: FrameFiles,
    read: Callable[[Path], Persons],
    layouts: Mapping[int, str],
    hints: PoseHints,
) -> Recording:
    """The recording of files that are read one after the other, when they are needed.

    Args:
        files: The files.
        read: Reads the persons of a file.
        layouts: Layouts of the format by number of joints.
        hints: What the user knows of the recording.

    Raises:
        InputError: No file has a person, or the layout is not known.
    """
    first_path, first = _first_persons(files, read)
    shape = first.joints.shape[1:]
    skeleton = skeleton_by_count(first_path, shape[0], hints, layouts)

    def frames() -> Iterator[Frame]:
        for number, path in zip(map(int, files.numbers), files.paths(), strict=True):
            persons = read(path)
            if persons.ids and persons.joints.shape[1:] != shape:
                raise InputError(
                    f"{path}: has {persons.joints.shape[1]} joints a person, while {first_path} "
                    f"has {shape[0]}; put recordings of different layouts into different folders"
                )
            yield _frame(number, path, persons, skeleton, shape[1])

    return Recording(
        files.name,
        files.path,
        skeleton,
        frames,
        num_channels=shape[1],
        has_score=True,
        image_size=hints.image_size,
        fps=files.fps or hints.fps,
        num_frames=files.num_frames,
        step=files.step,
    )


def _first_persons(files: FrameFiles, read: Callable[[Path], Persons]) -> tuple[Path, Persons]:
    for path in files.paths():
        if (persons := read(path)).ids:
            return path, persons
    raise NoPersonsError(
        f"{files.path}: there is no person in {count(len(files.names), 'frame')} of "
        f"{files.name!r}; name a recording with persons"
    )


def _frame(
    number: int, path: Path, persons: Persons, skeleton: Skeleton, num_channels: int
) -> Frame:
    joints = persons.joints[:, : skeleton.num_joints]
    scores = persons.scores[:, : skeleton.num_joints]
    if not persons.ids:
        joints = np.zeros((0, skeleton.num_joints, num_channels), np.float32)
        scores = np.zeros((0, skeleton.num_joints), np.float32)
    joints, scores = clean_joints(joints, scores, str(path))
    tracks = distinct_tracks(persons.ids)
    return Frame(number, joints, scores, tracks if (tracks >= 0).any() else None)
