"""Names of joints in the spellings of common layouts, brought into one form."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

#: Parts of the body that have a left and a right side, with their usual short forms.
_SHORT = {
    "sho": "shoulder",
    "elb": "elbow",
    "wri": "wrist",
    "kne": "knee",
    "ank": "ankle",
    "little": "pinky",
    "littletoe": "smalltoe",
}
_SIDED = {
    *_SHORT.values(),
    *("hand", "hip", "foot", "eye", "ear", "heel", "toe", "bigtoe", "thumb", "index"),
}
#: Names of the same place in the middle of the body. The Kinect SDK renamed hip_center into
#: spine_base, shoulder_center into spine_shoulder and spine into spine_mid.
_MIDDLE = {
    "midhip": ("hipmid", "hip", "hips", "pelvis", "hipcenter", "hipcentre", "spinebase", "root"),
    "midshoulder": ("shouldercenter", "shouldercentre", "spineshoulder", "thorax"),
    "spinemid": ("midspine", "spine", "torso"),
}
_SAME = _SHORT | {name: place for place, names in _MIDDLE.items() for name in names}
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}


class JointKey(NamedTuple):
    """The place of a joint: ``left``, ``right`` or no side, and the part of the body."""

    side: str
    part: str


@lru_cache(maxsize=4096)
def joint_key(name: str) -> JointKey:
    """The side and the part of the body that a joint's name stands for.

    Upper and lower case, separators, and the place and length of the side are ignored.

    Example:
        >>> joint_key("LShoulder") == joint_key("left shoulder") == joint_key("shoulder_l")
        True
        >>> joint_key("pelvis")
        JointKey(side='', part='midhip')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = [word for word in re.split(r"[\W_]+", spaced.lower()) if word]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    part = "".join(word for word in words if word not in _SIDES)
    if not sides:
        side, part = _split_prefix(part)
        sides = [side]
    if len(sides) > 1 or not part:
        return JointKey("", "".join(words) or name)
    part = _SHORT.get(part, part) if sides[0] else _SAME.get(part, part)
    return JointKey(sides[0], part)


def _split_prefix(word: str) -> tuple[str, str]:
    """Take the side off a word such as ``lshoulder``."""
    for prefix, side in _SIDES.items():
        rest = word.removeprefix(prefix)
        if rest != word and (rest in _SIDED or rest in _SHORT):
            return side, rest
    return "", word
