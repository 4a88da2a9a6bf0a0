"""Arrays of persons, made of the values in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.checked import shown
from pyg_stgcn.errors import InputError

#: A larger number is no identity.
_MAX_TRACK = 2**62


class NoPersonsError(InputError):
    """A recording has no frame with a person."""


class Persons(NamedTuple):
    """The persons of a frame, or some of them, as a file contains them.

    Args:
        joints: Coordinates ``[M, V, C]``.
        scores: Confidence ``[M, V]``.
        ids: Identity of each person; -1 where the file has none.
    """

    joints: NDArray[np.float32]
    scores: NDArray[np.float32]
    ids: list[int]


#: No persons, with any number of joints.
NO_PERSONS = Persons(np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), np.float32), [])


def parse_keypoints(values: Any, where: str) -> NDArray[np.float32]:
    """Keypoints ``[1, V, 3]`` of a flat list of x, y and score of each joint.

    Args:
        values: The list.
        where: Place in the file, for the error.

    Raises:
        InputError: They are not numbers, or their number is not a multiple of three.
    """
    array = parse_array(values)
    if array.ndim != 1 or array.size == 0 or array.size % 3:
        raise InputError(
            f"{where}: the keypoints of a person are {shown(values)}, not x, y and score of each "
            "joint; write the file again"
        )
    return array.reshape(1, -1, 3)


def parse_array(values: Any) -> NDArray[np.float32]:
    """An array of nested lists of numbers; of size 0 if they are anything else."""
    try:
        with np.errstate(over="ignore"):
            return np.array(values, np.float32)
    except (TypeError, ValueError, OverflowError):
        return np.zeros(0, np.float32)


def parse_identity(value: Any) -> int:
    """Identity of a person from a file; -1 if it is not a whole number from 0."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 2**53 and value == int(value) else -1


def distinct_tracks(tracks: Sequence[int | None]) -> NDArray[np.int64]:
    """Identities of the persons of a frame; -1 where it is unknown, or another person has it."""
    found: list[int] = []
    for track in tracks:
        is_new = track is not None and track not in found and 0 <= track < _MAX_TRACK
        found.append(track if track is not None and is_new else -1)
    return np.array(found, np.int64)


def clean_joints(
    joints: NDArray[np.float32], scores: NDArray[np.float32], where: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinates ``[M, V, C]`` and scores ``[M, V]`` with zeros where a joint is missing.

    A joint is missing if its score is 0 or less. Scores above 1, which some estimators write, stay.

    Raises:
        InputError: A value is not finite; the message names the person and the joint.
    """
    wrong = ~(np.isfinite(joints).all(axis=2) & np.isfinite(scores))
    if wrong.any():
        person, joint = (int(number) for number in np.argwhere(wrong)[0])
        raise InputError(
            f"{where}: person {person}, joint {joint} is {joints[person, joint].tolist()} with "
            f"score {scores[person, joint]}, not finite; write 0 for missing joints"
        )
    present = scores > 0
    return np.where(present[..., None], joints, 0), np.where(present, scores, 0)
