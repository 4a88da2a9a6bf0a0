"""Conversion of recordings between joint layouts, by the names of the joints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.joint_names import JointKey, joint_key
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons

#: Joints that are the middle between two others, where a recording lacks them.
_MIDDLES = {
    JointKey("", "neck"): (JointKey("left", "shoulder"), JointKey("right", "shoulder")),
    JointKey("", "midshoulder"): (JointKey("left", "shoulder"), JointKey("right", "shoulder")),
    JointKey("", "midhip"): (JointKey("left", "hip"), JointKey("right", "hip")),
}
#: Most joints that a message lists.
_LISTED = 40


@dataclass(frozen=True)
class JointMap:
    """The source joints of every joint of a layout.

    Args:
        first: Source joint of every target joint ``[V]``.
        second: The same, or the other joint where the target is the middle between two ``[V]``.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def apply(self, frame: Frame) -> Frame:
        """The frame with the joints of the target layout."""
        joints, scores = frame.joints[:, self.first], frame.scores[:, self.first]
        (middle,) = np.nonzero(self.first != self.second)
        if len(middle):
            other = self.second[middle]
            both = np.minimum(scores[:, middle], frame.scores[:, other])
            center = (joints[:, middle] + frame.joints[:, other]) / 2
            joints[:, middle] = np.where(both[..., None] > 0, center, 0)
            scores[:, middle] = both
        return frame._replace(joints=joints, scores=scores)


def convert_layout(recording: Recording, skeleton: Skeleton | str | os.PathLike[str]) -> Recording:
    """Converts a recording to another joint layout.

    Joints correspond by name; case, separators and the spelling of the side are ignored, as in
    ``LShoulder`` and ``left_shoulder``. Joints that the recording lacks are computed where they are
    the middle between two others: ``neck`` and the middle of the shoulders from both shoulders,
    ``mid_hip`` (pelvis) from both hips. Their score is the lower one of the two; if one of the two
    is missing, so is the middle. All other joints keep their coordinates and scores.

    Args:
        recording: The recording.
        skeleton: The target layout, or the name or file of one.

    Raises:
        InputError: If joints of the layout cannot be made from those of the recording; the message
            lists them.

    Example:
        >>> convert_layout(recording, "coco17").skeleton.num_joints
        17
    """
    target = skeleton if isinstance(skeleton, Skeleton) else get_skeleton(skeleton)
    if target.joints == recording.skeleton.joints:
        return replace(recording, skeleton=target)
    joint_map = map_joints(recording.skeleton, target, str(recording.path))

    def frames() -> Iterator[Frame]:
        return map(joint_map.apply, recording.frames())

    return replace(recording, skeleton=target, frames=frames)


def map_joints(source: Skeleton, target: Skeleton, where: str) -> JointMap:
    """The joints of one layout from which those of another are made.

    Args:
        source: The given layout.
        target: The wanted layout.
        where: Name of the file, for messages.

    Raises:
        InputError: If some cannot be made, or two joints of the source have the same meaning.
    """
    by_key: dict[JointKey, list[int]] = {}
    for joint, name in enumerate(source.joints):
        by_key.setdefault(joint_key(name), []).append(joint)
    pairs, missing = [], []
    for name in target.joints:
        pair = _find(name, source, by_key, where)
        if pair is None:
            missing.append(name)
        else:
            pairs.append(pair)
    if missing:
        raise _impossible(source, target, missing, where)
    first, second = np.array(pairs).T
    return JointMap(first, second)


def _impossible(source: Skeleton, target: Skeleton, missing: list[str], where: str) -> InputError:
    more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    possible = [name for name in list_skeletons() if _has_all(source, get_skeleton(name))]
    remedy = f"keep {source.name!r}, or give its joints the usual names"
    if possible:
        remedy = f"it can be converted to {', '.join(possible)}"
    return InputError(
        f"{where}: the layout {source.name!r} cannot be converted to {target.name!r}: it has no "
        f"{', '.join(missing[:_LISTED])}{more}; {remedy}"
    )


def _has_all(source: Skeleton, target: Skeleton) -> bool:
    keys = {joint_key(name) for name in source.joints}
    wanted = map(joint_key, target.joints)
    return source.name != target.name and all(
        key in keys or keys.issuperset(_MIDDLES.get(key, (key,))) for key in wanted
    )


def _find(
    name: str, source: Skeleton, by_key: dict[JointKey, list[int]], where: str
) -> tuple[int, int] | None:
    """The source joint, or two to take the middle of; None if there are none."""
    if name in source.joints:
        joint = source.joints.index(name)
        return joint, joint
    key = joint_key(name)
    parts = (key,) if key in by_key else _MIDDLES.get(key, ())
    found = [by_key.get(part, []) for part in parts]
    for joints in found:
        if len(joints) > 1:
            names = " and ".join(repr(source.joints[joint]) for joint in joints)
            raise InputError(
                f"{where}: {names} of the layout {source.name!r} may both be {name!r} of the "
                "target; give one of them exactly this name"
            )
    if not found or not all(found):
        return None
    return found[0][0], found[-1][0]
