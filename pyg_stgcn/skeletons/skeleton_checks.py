"""Checks of the description of a skeleton; every message names the field."""

from __future__ import annotations

import reprlib
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyg_stgcn.errors import InputError

if TYPE_CHECKING:
    from pyg_stgcn.skeletons.skeleton import Pair, Skeleton

#: Most joints of a skeleton, and most entries of its other lists. Whole bodies with face and hands
#: have some hundreds of joints; graphs take memory with the square of their number.
MAX_JOINTS, MAX_PAIRS = 1024, 8192
#: Most characters of a name.
MAX_NAME = 100
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 3
#: Most joints that a message lists.
_LISTED = 5


def check_skeleton(skeleton: Skeleton) -> None:
    """Check that a skeleton's fields are of the right kind and size and fit each other.

    Raises:
        InputError: If they do not.
    """
    for key in ("joints", "bones", "pairs", "bone_pairs"):
        check_length(key, getattr(skeleton, key) or ())
    _check_joints(skeleton)
    _check_bones(skeleton)
    _check_pairs(skeleton)


def check_length(key: str, values: Sequence[object]) -> None:
    """Check that a list of a skeleton is not so long that work on it would not end.

    Raises:
        InputError: If it is.
    """
    most = MAX_JOINTS if key == "joints" else MAX_PAIRS
    if len(values) > most:
        raise InputError(f"{key}: {len(values):,} are too many; a skeleton has at most {most:,}")


def shown(value: object) -> str:
    """A value as a message shows it: in one short line, whatever its size and depth."""
    return _SHORT.repr(value)


def _check_joints(skeleton: Skeleton) -> None:
    _check_name("name", skeleton.name)
    if not skeleton.joints:
        raise InputError("joints: the list is empty; name at least one joint")
    numbers: dict[str, int] = {}
    for i, joint in enumerate(skeleton.joints):
        _check_name(f"joints[{i}]", joint)
        first = numbers.setdefault(joint, i)
        if first != i:
            raise InputError(
                f"joints[{i}]: {joint!r} is also the name of joint {first}; names must differ"
            )
    for key in ("center", "root"):
        number = getattr(skeleton, key)
        if number is not None or key == "center":
            _check_number(skeleton, key, number)


def _check_name(field: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InputError(f"{field}: {shown(name)} is not a name; give a short text")
    if len(name) > MAX_NAME:
        raise InputError(
            f"{field}: {shown(name)} has {len(name):,} characters; give at most {MAX_NAME}"
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InputError(f"{field}: {shown(name)} has control characters; give a name without them")


def _check_number(skeleton: Skeleton, field: str, joint: Any) -> None:
    if not isinstance(joint, int) or isinstance(joint, bool):
        raise InputError(f"{field}: {shown(joint)} is not a joint number")
    if not 0 <= joint < skeleton.num_joints:
        raise InputError(
            f"{field}: joint {shown(joint)} does not exist; the {skeleton.num_joints} joints are "
            f"numbered 0 to {skeleton.num_joints - 1}"
        )


def _check_list(skeleton: Skeleton, key: str, pairs: Sequence[Pair]) -> None:
    for i, pair in enumerate(pairs):
        if len(pair) != 2:
            raise InputError(f"{key}[{i}]: {shown(pair)} is not a pair of two joints")
        for joint in pair:
            _check_number(skeleton, f"{key}[{i}]", joint)


def _check_bones(skeleton: Skeleton) -> None:
    _check_list(skeleton, "bones", skeleton.bones)
    seen: dict[frozenset[int], int] = {}
    for i, bone in enumerate(skeleton.bones):
        names = f"{skeleton.joints[bone[0]]!r} and {skeleton.joints[bone[1]]!r}"
        if bone[0] == bone[1]:
            raise InputError(
                f"bones[{i}]: joint {skeleton.joints[bone[0]]!r} is joined to itself; "
                f"partitions add self loops where they need them, remove this bone"
            )
        first = seen.setdefault(frozenset(bone), i)
        if first != i:
            raise InputError(
                f"bones[{i}]: {names} are already joined by bones[{first}]; remove one of them"
            )
    apart = _not_reached(skeleton)
    if apart:
        listed = ", ".join(f"{skeleton.joints[joint]!r}" for joint in apart[:_LISTED])
        more = f" and {len(apart) - _LISTED} more" if len(apart) > _LISTED else ""
        raise InputError(
            f"bones: no bones lead from the centre {skeleton.joints[skeleton.center]!r} to "
            f"{listed}{more}; join them to the rest"
        )


def _not_reached(skeleton: Skeleton) -> list[int]:
    """The joints to which no bones lead from the centre."""
    neighbors: list[list[int]] = [[] for _ in skeleton.joints]
    for child, parent in skeleton.bones:
        neighbors[child].append(parent)
        neighbors[parent].append(child)
    reached, front = {skeleton.center}, [skeleton.center]
    while front:
        new = set(neighbors[front.pop()]) - reached
        reached |= new
        front += new
    return [joint for joint in range(skeleton.num_joints) if joint not in reached]


def _check_pairs(skeleton: Skeleton) -> None:
    _check_list(skeleton, "pairs", skeleton.pairs)
    used: dict[int, int] = {}
    for i, pair in enumerate(skeleton.pairs):
        for joint in pair:
            if joint in used:
                raise InputError(
                    f"pairs[{i}]: joint {skeleton.joints[joint]!r} is already in "
                    f"pairs[{used[joint]}]; a joint has one mirror image"
                )
            used[joint] = i
    if skeleton.bone_pairs is not None:
        _check_list(skeleton, "bone_pairs", skeleton.bone_pairs)
        parents: dict[int, int] = {}
        for i, (child, _) in enumerate(skeleton.bone_pairs):
            first = parents.setdefault(child, i)
            if first != i:
                raise InputError(
                    f"bone_pairs[{i}]: {skeleton.joints[child]!r} already has a parent in "
                    f"bone_pairs[{first}]; a bone vector has one parent"
                )
    for key in ("spine", "shoulders"):
        pair = getattr(skeleton, key)
        if pair is not None:
            _check_list(skeleton, key, [pair])
            if pair[0] == pair[1]:
                raise InputError(
                    f"{key}: an axis needs two different joints, not "
                    f"{skeleton.joints[pair[0]]!r} twice"
                )
