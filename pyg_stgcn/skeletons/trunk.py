"""The trunk of a skeleton: the joints to which poses may be relative, and where they are then."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.skeletons.skeleton import Pair, Skeleton

#: How far from the box around the other joints the origin may lie to be a position, in extents of
#: the box. A wrist lies outside its fingers; a camera is farther away than its persons are tall.
MAX_GAP = 0.5
#: How far a joint may move on its way through the origin, in extents of its person.
MAX_STEP = 0.05

Mask = NDArray[np.bool_]


def hop_distance(num_joints: int, bones: Sequence[Pair]) -> NDArray[np.float32]:
    """The number of bones between all joints, infinite where no path leads, :math:`(V, V)`."""
    distance = np.full((num_joints, num_joints), np.inf, np.float32)
    np.fill_diagonal(distance, 0)
    for child, parent in bones:
        distance[child, parent] = distance[parent, child] = 1
    for via in range(num_joints):
        np.minimum(distance, distance[:, via : via + 1] + distance[via], out=distance)
    return distance


@lru_cache(maxsize=64)
def trunk_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """The joints that poses may be relative to: root, centre and the spine from end to end."""
    joints = [skeleton.root_joint, skeleton.center]
    if skeleton.spine is not None:
        low, high = skeleton.spine
        distance = hop_distance(skeleton.num_joints, skeleton.bones)
        between = distance[low] + distance[high] == distance[low, high]
        joints += [low, high, *np.flatnonzero(between).tolist()]
    return tuple(dict.fromkeys(joints))


def positions_at_origin(x: NDArray[np.floating[Any]], skeleton: Skeleton) -> Mask:
    r"""Mask of the joints of a person that are at the origin and not missing.

    They are those of one joint of the trunk: one that is there in all frames, if the origin lies in
    or near the box around the other joints (poses relative to a root), or one that passes through
    it on its way (poses relative to the root of one frame).

    Shapes:
        - **x:** :math:`(V, T, C)`
        - **output:** :math:`(V, T)`
    """
    # Axis by axis: a reduction over two or three numbers takes several times as long.
    nonzero = np.logical_or.reduce([x[..., axis] != 0 for axis in range(x.shape[-1])])
    found = np.zeros_like(nonzero)
    for joint in trunk_joints(skeleton):
        found[joint] = _at_origin(x, nonzero, joint)
        if found[joint].any():
            break
    return found


def _at_origin(x: NDArray[np.floating[Any]], nonzero: Mask, joint: int) -> Mask:
    """The frames in which a joint of a person ``[V, T, C]`` is at the origin and not missing."""
    known = nonzero[joint]
    zero: Mask = nonzero.any(axis=0) & ~known
    if not zero.any():
        return zero
    # Unlike an index, this keeps the order of the axes in memory, which the reductions need.
    shown = x.compress(zero, axis=1).astype(np.float64)
    hidden = ~nonzero.compress(zero, axis=1)
    shown[hidden] = np.inf
    low = shown.min(axis=0)
    shown[hidden] = -np.inf
    high = shown.max(axis=0)
    extent = (high - low).max(axis=-1)
    found = zero.copy()
    if not known.any():
        gap = np.linalg.norm(np.maximum(low, -high).clip(min=0), axis=-1)
        return found if (gap <= MAX_GAP * extent).mean() > 0.5 else np.zeros_like(zero)
    # The nearest frames that show the joint, before and after each one at the origin.
    num_frames = x.shape[1]
    time = np.arange(num_frames)
    before = np.maximum.accumulate(np.where(known, time, -1))[zero]
    after = np.minimum.accumulate(np.where(known, time, num_frames)[::-1])[::-1][zero]
    distance = np.linalg.norm(x[joint].astype(np.float64), axis=-1)
    close = [
        outside | (distance[frame.clip(0, num_frames - 1)] <= MAX_STEP * extent)
        for frame, outside in ((before, before < 0), (after, after == num_frames))
    ]
    found[zero] = close[0] & close[1]
    return found
