"""Present joints: the rule by coordinates.

Pose files write zeros where nothing was seen. In space the origin may be a position too: of a joint
of the trunk to which all others are relative.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.skeletons.partitions import hop_distance

#: How far from the box around the other joints the origin may lie to be a position, in extents of
#: the box. A wrist lies outside its fingers; a camera is farther away than its persons are tall.
MAX_GAP = 0.5
#: How far a joint may move on its way through the origin, in extents of its person.
MAX_STEP = 0.05


def present_in_plane(x: Tensor) -> Tensor:
    r"""Mask of the present joints of a clip in the plane.

    A joint at exactly :math:`(0, 0)` is missing whatever its score: some estimators blank a
    position and keep the score. A joint whose score is not above zero is missing too, unless no
    score of the clip is, so that the scores say nothing.

    Shapes:
        - **x:** :math:`(*, 2)`, or :math:`(*, 3)` with the score
        - **output:** :math:`(*)`
    """
    present = _nonzero(x[..., :2])
    if x.size(-1) > 2:
        certain = x[..., 2] > 0
        if bool(certain.any()):
            present = present & certain
    return present


def present_in_space(x: Tensor, skeleton: Skeleton) -> Tensor:
    r"""Mask of the present joints of a clip in space.

    A joint at exactly :math:`(0, 0, 0)` is missing while others of its person are not, and so is
    a whole person at zero. One joint of the trunk of every person may be at the origin instead:
    one that is there in all frames, if the origin lies in or near the box around the other joints
    (poses relative to a root), or one that passes through it on its way (poses relative to the root
    of one frame).

    Shapes:
        - **x:** :math:`(M, V, T, C)`
        - **output:** :math:`(M, V, T)`
    """
    nonzero = _nonzero(x)
    seen = nonzero.any(dim=1)
    if bool(nonzero.all(dim=1).eq(seen).all()):
        return nonzero
    present = nonzero.clone()
    for person in range(x.size(0)):
        for joint in trunk_joints(skeleton):
            at_origin = _at_origin(x[person].double(), nonzero[person], joint)
            if bool(at_origin.any()):
                present[person, joint] |= at_origin
                break
    return present


def _nonzero(x: Tensor) -> Tensor:
    # Axis by axis: a reduction over three numbers takes several times as long.
    nonzero = x[..., 0] != 0
    for axis in range(1, x.size(-1)):
        nonzero |= x[..., axis] != 0
    return nonzero


@lru_cache(maxsize=64)
def trunk_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """The joints that poses may be relative to: root, centre and the spine from end to end."""
    joints = [skeleton.root_joint, skeleton.center]
    if skeleton.spine is not None:
        low, high = skeleton.spine
        distance = hop_distance(skeleton.num_joints, skeleton.bones)
        between = distance[low] + distance[high] == distance[low, high]
        joints += [low, high, *between.nonzero().flatten().tolist()]
    return tuple(dict.fromkeys(joints))


def _at_origin(x: Tensor, nonzero: Tensor, joint: int) -> Tensor:
    """The frames in which a joint of a person ``[V, T, 3]`` is at the origin and not missing."""
    known = nonzero[joint]
    zero = nonzero.any(dim=0) & ~known
    if not bool(zero.any()):
        return zero
    hidden = ~nonzero.unsqueeze(-1)
    low = x.masked_fill(hidden, torch.inf).amin(dim=0)[zero]
    high = x.masked_fill(hidden, -torch.inf).amax(dim=0)[zero]
    extent = (high - low).amax(dim=-1)
    if not bool(known.any()):
        gap = torch.maximum(low, -high).clamp(min=0).norm(dim=-1)
        near = (gap <= MAX_GAP * extent).double().mean()
        return zero & (near > 0.5)
    # The nearest frames that show the joint, before and after each one at the origin.
    num_frames = x.size(1)
    time = torch.arange(num_frames)
    before = torch.where(known, time, -1).cummax(dim=0).values[zero]
    after = torch.where(known, time, num_frames).flip(0).cummin(dim=0).values.flip(0)[zero]
    distance = x[joint].norm(dim=-1)
    close = [
        outside | (distance[frame.clamp(0, num_frames - 1)] <= MAX_STEP * extent)
        for frame, outside in ((before, before < 0), (after, after == num_frames))
    ]
    return zero.masked_scatter(zero, close[0] & close[1])
