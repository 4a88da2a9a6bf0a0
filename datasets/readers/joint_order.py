"""Checks whether joints lie as their skeleton says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons
from pyg_stgcn.skeletons.posture import head_and_feet

Array = NDArray[np.float64]

#: The bones may be so many times as long as in the best order of the joints that is found. Measured
#: in 3-D: at most 1.01 for bodies and 1.16 for fists; 1.29 where one order of the Kinect is taken
#: for the other, 1.4 and more in random orders. Seen in the plane, limbs cross: 1.27, and 1.45.
_LONGER_3D, _LONGER_2D = 1.2, 1.4
#: Weight of the standard deviation of a bone's length beside its mean.
_RIGID = 2.0
#: Fewest frames and joints that an order can be told from, and most joints that are looked at.
_FRAMES, _JOINTS, _MOST_JOINTS = 20, 5, 256
#: Distances that are held at a time; bounds the memory.
_DISTANCES = 2**20
#: A bone is far from rigid where the deviation of its length is above this fraction of the body's
#: size, and so many times that of the middle bone. Measured in Kinect data: at most 0.055, and 2.4.
_NOT_RIGID, _THAN_OTHERS = 0.15, 4.0
#: Fraction of the body's size by which the head is clearly below the feet. Who stands is two to
#: three times this size tall.
_CLEARLY = 0.5
#: Most bones that a warning names.
_NAMED = 3


def body_size(points: Array) -> Array:
    """Root mean square distance between two joints of a body, by frame [F]; 0 for less than two."""
    present = np.isfinite(points[..., :1])
    count = np.maximum(present.sum(axis=-2, keepdims=True), 1)
    known = np.where(present, points, 0)
    apart = np.where(present, points - known.sum(axis=-2, keepdims=True) / count, 0)
    size: Array = np.sqrt(2 * (apart**2).sum(axis=(-2, -1)) / count[..., 0, 0])
    return size


def check_order(people: Sequence[Array], skeleton: Skeleton, *, flat: bool) -> list[str]:
    """Warn where other places of the joints would make the bones much shorter.

    Bones are short and rigid, compared with other pairs of joints. In the right order of the
    joints, hardly any exchange of two joints makes the sum of their lengths smaller; in a wrong
    order, many do.

    Args:
        people: Frames of single persons, NaN where joints are missing.
        skeleton: What the joints are said to be.
        flat: Whether the data are 2-D, where lengths change with the view.

    Shapes:
        - **people:** :math:`(F, V, 2)` or :math:`(F, V, 3)` each
    """
    if skeleton.num_joints > _MOST_JOINTS or sum(map(len, people)) < _FRAMES:
        return []
    common = _common_joints(people)
    apart, frames = _distances(people, common, flat=flat)
    if frames < _FRAMES or common.sum() < max(_JOINTS, skeleton.num_joints / 2):
        return []
    longer, gains = _compare(apart, common, skeleton)
    if longer <= (_LONGER_2D if flat else _LONGER_3D):
        return []
    fits = [
        (_compare(apart, common, other)[0], other.name)
        for other in map(get_skeleton, list_skeletons())
        if other.num_joints == skeleton.num_joints and other.joints != skeleton.joints
    ]
    best, name = min(fits, default=(longer, ""))
    remedy = (
        f"they fit the skeleton {name!r} (--skeleton {name})"
        if best <= (_LONGER_2D if flat else _LONGER_3D)
        else "bring the joints of the data and of the skeleton into one order"
    )
    worst = ", ".join(_bone_name(skeleton, bone) for bone in np.argsort(-gains)[:_NAMED].tolist())
    return [
        f"the joints do not lie in the order of the skeleton {skeleton.name!r}: its bones "
        f"come out {longer:.1f} times as long as in another order, above all {worst}; {remedy}"
    ]


def check_head(pose: Array, up: Array, size: float, skeleton: Skeleton) -> list[str]:
    """Warn where the head is clearly below the feet.

    Args:
        pose: Mean positions of the joints, NaN if unknown.
        up: What is up. In 3-D this has been found from the head; there, the spine is asked too.
        size: Of the body, in the units of the pose.
        skeleton: Names the joints.

    Shapes:
        - **pose:** :math:`(V, 2)` or :math:`(V, 3)`
        - **up:** :math:`(2)` or :math:`(3)`
    """
    head, feet = (pose[joints] for joints in head_and_feet(skeleton))
    head, feet = (place[np.isfinite(place).all(axis=-1)] for place in (head, feet))
    if not len(head) or not len(feet):
        return []
    body = head.mean(axis=0) - feet.mean(axis=0)
    if len(up) < 3:
        if body @ up < -_CLEARLY * size:
            return [
                "the head is below the feet: in images y points down; flip y, or compare "
                "the order of the joints with that of the skeleton"
            ]
    elif skeleton.spine is not None:
        low, high = skeleton.spine
        spine = pose[high] - pose[low]
        if body @ spine < -_CLEARLY * size * np.linalg.norm(spine):
            return [
                f"the head is below the feet, measured along the spine from "
                f"{skeleton.joints[low]!r} to {skeleton.joints[high]!r}; compare the order of the "
                f"joints with that of the skeleton {skeleton.name!r}"
            ]
    return []


def check_rigid(
    lengths: Array, variation: Array, deviations: Array, skeleton: Skeleton
) -> list[str]:
    """Warn where the length of a bone varies far more than those of the others, in 3-D.

    Args:
        lengths: Mean lengths, NaN if unknown.
        variation: Coefficients of variation.
        deviations: Standard deviations of the lengths, as fractions of the body's size.
        skeleton: Names the bones.

    Shapes:
        - **all:** :math:`(B)`
    """
    known = deviations[np.isfinite(deviations)]
    if not len(known):
        return []
    limit = max(_NOT_RIGID, _THAN_OTHERS * float(np.median(known)))
    found = [bone for bone in np.argsort(-deviations).tolist() if deviations[bone] > limit]
    if not found:
        return []
    named = ", ".join(
        f"{_bone_name(skeleton, bone)} ({lengths[bone]:.3g} ± {100 * variation[bone]:.0f} %)"
        for bone in found[:_NAMED]
    )
    number = "1 bone is" if len(found) == 1 else f"{len(found)} bones are"
    return [
        f"{number} far from rigid: {named}; compare the order of the joints with "
        f"that of the skeleton {skeleton.name!r}, and see whether x, y and z have one unit (depth "
        "estimated from single images may be as inexact as this)"
    ]


def check_root(people: Sequence[Array], skeleton: Skeleton) -> list[str]:
    """Warn where a single joint is never there: poses in 3-D may be relative to it.

    Args:
        people: Frames of single persons, NaN where joints are missing.
        skeleton: Names the joints.

    Shapes:
        - **people:** :math:`(F, V, 3)` each
    """
    if not people:
        return []
    seen = np.any([np.isfinite(points[..., 0]).any(axis=0) for points in people], axis=0)
    never = np.flatnonzero(~seen)
    if len(never) != 1:
        return []
    return [
        f"the joint {skeleton.joints[never[0]]!r} is missing in all frames; if it is at the origin "
        f"because the poses are relative to it, make it the center of the skeleton "
        f"{skeleton.name!r}"
    ]


def _bone_name(skeleton: Skeleton, bone: int) -> str:
    child, parent = skeleton.bones[bone]
    return f"{skeleton.joints[child]} - {skeleton.joints[parent]}"


def _common_joints(people: Sequence[Array]) -> NDArray[np.bool_]:
    """The joints that are present in at least half of the frames."""
    seen = sum(np.isfinite(points[..., 0]).sum(axis=0) for points in people)
    common: NDArray[np.bool_] = 2 * np.asarray(seen) >= sum(map(len, people))
    return common


def _distances(
    people: Sequence[Array], common: NDArray[np.bool_], *, flat: bool
) -> tuple[Array, int]:
    """Distances between the common joints [U, U], as fractions of the body's size, and the number
    of frames they are from, those in which all of these joints are present.

    In 3-D, twice the standard deviation over time is added: bones are rigid.
    """
    total, persons, frames = np.zeros((int(common.sum()),) * 2), 0, 0
    for points in people:
        whole = points[:, common]
        whole = whole[np.isfinite(whole[..., 0]).all(axis=1)]
        size = body_size(whole)
        known = np.flatnonzero(size > 0)
        if len(known) == 0:
            continue
        most = max(_FRAMES, _DISTANCES // max(whole.shape[1], 1) ** 2)
        chosen = known[np.unique(np.linspace(0, len(known) - 1, most).astype(int))]
        whole, size = whole[chosen], size[chosen]
        size = size if flat else np.full_like(size, np.median(size))
        apart = np.linalg.norm(whole[:, :, None] - whole[:, None], axis=-1) / size[:, None, None]
        total += apart.mean(axis=0) + (0 if flat else _RIGID * apart.std(axis=0))
        persons, frames = persons + 1, frames + len(whole)
    return total / max(persons, 1), frames


def _compare(apart: Array, common: NDArray[np.bool_], skeleton: Skeleton) -> tuple[float, Array]:
    """Length of all bones relative to the best order found, and the excess of each bone.

    The best order is looked for by exchanging the two joints that gain most, as long as any do.
    """
    number = np.cumsum(common) - 1
    child, parent = np.array(skeleton.bones, np.int64).reshape(-1, 2).T
    there = common[child] & common[parent]
    ends = number[child[there]], number[parent[there]]
    joined = np.zeros_like(apart)
    joined[ends] = joined[ends[::-1]] = 1
    own = apart[ends]
    order = np.arange(len(apart))
    while True:
        now = apart[np.ix_(order, order)]
        # The bones of joint v, were it at the place of joint w [v, w].
        moved = joined @ now
        kept = np.diag(moved)
        gain = kept[:, None] + kept - moved - moved.T - 2 * joined * now
        pair = np.unravel_index(gain.argmax(), gain.shape)
        if gain[pair] <= 1e-9 * own.sum():
            break
        order[list(pair)] = order[list(pair[::-1])]
    best = apart[order[ends[0]], order[ends[1]]]
    gains = np.full(len(there), -np.inf)
    gains[there] = own - best
    return float(own.sum() / max(best.sum(), np.finfo(float).tiny)), gains
