"""The layout to which the names of joints in a file belong."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pyg_stgcn.poses.joint_names import joint_key
from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
#: Joints of MediaPipe's hand, in the order of the layout hand21.
_MEDIAPIPE_HAND = (
    "wrist",
    *(f"thumb_{part}" for part in ("cmc", "mcp", "ip", "tip")),
    *(
        f"{finger}_{part}"
        for finger in ("index_finger", "middle_finger", "ring_finger", "pinky")
        for part in ("mcp", "pip", "dip", "tip")
    ),
)


def split_words(name: str) -> list[str]:
    """The words of a name in lower case: ``LShoulder``, ``left_shoulder`` and ``x1`` have two."""
    return [word.lower() for word in _WORD.findall(name)]


def find_layout(names: Iterable[str], given: Skeleton | None) -> tuple[Skeleton, list[str]] | None:
    """The largest layout of which all joints are among some names.

    Args:
        names: Names of joints in any spelling.
        given: The layout that the user names; it is preferred.

    Returns:
        The layout, and those of the names that are its joints, in order; None if there is none.
    """
    found = {joint_key(name): name for name in reversed(list(names))}
    layouts = [get_skeleton(name) for name in list_skeletons()]
    layouts.sort(key=lambda layout: -layout.num_joints)
    for layout in ([] if given is None else [given]) + layouts:
        spellings = [layout.joints, *([_MEDIAPIPE_HAND] if layout.name == "hand21" else [])]
        for joints in spellings:
            keys = [joint_key(joint) for joint in joints]
            if found.keys() >= set(keys):
                return layout, [found[key] for key in keys]
    return None


def missing_joints(names: Iterable[str], given: Skeleton | None) -> tuple[Skeleton, list[str]]:
    """The layout that lacks the smallest fraction of its joints among names, and those joints."""
    present = {joint_key(name) for name in names}
    layouts = [get_skeleton(name) for name in list_skeletons()] if given is None else [given]

    def missing(layout: Skeleton) -> list[str]:
        return [joint for joint in layout.joints if joint_key(joint) not in present]

    nearest = min(layouts, key=lambda layout: len(missing(layout)) / layout.num_joints)
    return nearest, missing(nearest)
