"""The direction in which a person stands up, found from the joints."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.skeletons.skeleton import Skeleton

Points = NDArray[np.floating[Any]]

_HEAD, _FEET = ("head", "nose", "face"), ("foot", "ankle", "heel", "toe")
_SHOULDERS, _HIPS = ("shoulder",), ("hip", "pelvis")
#: The z axis counts as up only where bodies are so many times longer along z than along y: in the
#: coordinates of a camera, whoever bends or lies down is long along z for a while.
_CLEARLY = 2.0


def head_and_feet(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Joint numbers of the head and of the feet, by their names; empty where there are none."""
    return _named(skeleton, _HEAD), _named(skeleton, _FEET)


def find_up(points: Points, skeleton: Skeleton) -> NDArray[np.float64]:
    r"""The unit vector along y or z that points up, in either direction.

    Cameras have y up (Kinect) or down (MediaPipe), motion capture has z up. Measured from the feet
    to the head, else from the hips to the shoulders, else along the skeleton's spine. Without any
    of these, y is up.

    Args:
        points: Positions of the joints, NaN where they are missing.
        skeleton: Their skeleton.

    Shapes:
        - **points:** :math:`(*, V, 3)`
        - **output:** :math:`(3)`
    """
    ends = [head_and_feet(skeleton), (_named(skeleton, _SHOULDERS), _named(skeleton, _HIPS))]
    if skeleton.spine is not None:
        ends.append(([skeleton.spine[1]], [skeleton.spine[0]]))
    for top, bottom in ends:
        bodies = _middle(points, top) - _middle(points, bottom)
        body = bodies[np.isfinite(bodies).all(axis=-1)].sum(axis=0)
        if body[1:].any():
            axis = 2 if abs(body[2]) > _CLEARLY * abs(body[1]) else 1
            return np.sign(body[axis]) * np.eye(3)[axis]
    return np.array([0.0, 1.0, 0.0])


def _named(skeleton: Skeleton, words: tuple[str, ...]) -> list[int]:
    names = [name.lower() for name in skeleton.joints]
    return [joint for joint, name in enumerate(names) if any(word in name for word in words)]


def _middle(points: Points, joints: list[int]) -> NDArray[np.float64]:
    """The middle of those of some joints that are present, NaN where none is [..., 3]."""
    chosen = points[..., joints, :]
    present = np.isfinite(chosen).all(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        middle: NDArray[np.float64] = np.where(present, chosen, 0).sum(axis=-2) / present.sum(-2)
    return middle
