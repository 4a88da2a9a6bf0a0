"""The order of the axes of an array of joints, guessed where it is not the expected one."""

from __future__ import annotations

from itertools import permutations

from pyg_stgcn.skeletons import get_skeleton, list_skeletons

_NAMES = ("persons", "frames", "joints", "channels")
#: The order that a clip must have.
ORDER = f"[{', '.join(_NAMES)}]"
_CHANNELS = (2, 3, 4)
#: A body has more joints than an array has channels.
_MIN_JOINTS = 5


def likely_axes(
    shape: tuple[int, ...],
    joints: int | None = None,
    frames: int | None = None,
    *,
    last_is_wrong: bool = False,
) -> tuple[int, ...] | None:
    """Guess which axes hold persons, frames, joints and channels.

    Of the orders that are possible, the one that moves the fewest axes is taken. A clip has at
    least as many frames as persons, unless :obj:`frames` says otherwise.

    Args:
        shape: Of an array of four axes.
        joints: The number of joints; if unknown, that of a built-in skeleton, or else the length of
            the axis where joints should be.
        frames: The number of frames, where it is known.
        last_is_wrong: Whether the last axis is known not to hold the channels.

    Returns:
        What to give to :func:`numpy.transpose`, or ``None`` if the order is right or no order fits.
    """
    counts = {joints} if joints else {get_skeleton(name).num_joints for name in list_skeletons()}
    found = []
    for axes in permutations(range(4)):
        persons, time, joint, channel = (shape[axis] for axis in axes)
        if channel not in _CHANNELS or (last_is_wrong and axes[3] == 3):
            continue
        if time != frames if frames in shape else time < persons:
            continue
        known = joint in counts
        if known or (not joints and joint == shape[2] >= _MIN_JOINTS):
            moved = sum(place != axis for place, axis in enumerate(axes))
            found.append((not known, moved, channel != 3, axes))
    best = min(found, default=None)
    return None if best is None or best[1] == 0 else best[3]


def axes_hint(
    shape: tuple[int, ...],
    joints: int | None = None,
    frames: int | None = None,
    *,
    last_is_wrong: bool = False,
) -> str:
    """Say which order the axes of an array seem to have, and how to mend it.

    Takes what :func:`likely_axes` takes.

    Returns:
        The end of an error message, empty if there is nothing to say.
    """
    if len(shape) == 3:
        return "; if it holds one person, add the axis of the persons with array[None]"
    if len(shape) != 4:
        return ""
    axes = likely_axes(shape, joints, frames, last_is_wrong=last_is_wrong)
    if axes is None:
        return ""
    order = ", ".join(_NAMES[axes.index(axis)] for axis in range(4))
    return f"; its axes seem to be [{order}]: put them in order with array.transpose{axes}"
