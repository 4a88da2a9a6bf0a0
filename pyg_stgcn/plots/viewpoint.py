"""The direction from which bodies in 3-D are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.skeletons.posture import find_up

Points = NDArray[np.floating[Any]]

_TURN, _TILT = np.deg2rad(25), np.deg2rad(12)
_RIGHT = (-np.cos(_TURN), 0.0, -np.sin(_TURN))
_UP = (-np.sin(_TURN) * np.sin(_TILT), np.cos(_TILT), np.cos(_TURN) * np.sin(_TILT))
VIEW = np.array([_RIGHT, _UP]).T
"""Turns upright points into x to the right and y up, as seen from a little beside and above the
camera, without perspective."""

# Rotations by the axis that is up. A y axis that points down belongs to a camera, which is turned
# about its line of sight; bodies with z up have been turned upright and look along y.
_TURNS = {
    (0, 1, 0): np.eye(3),
    (0, -1, 0): np.diag([-1.0, -1.0, 1.0]),
    (0, 0, 1): np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
    (0, 0, -1): np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
}


def find_turn(points: Points, skeleton: Skeleton) -> NDArray[np.float64]:
    """The rotation ``[3, 3]`` after which y is up and z leads away from the viewer.

    Args:
        points: Positions of the joints ``[..., V, 3]``, NaN where they are missing.
        skeleton: Their skeleton.
    """
    up = find_up(points, skeleton)
    return _TURNS[tuple(up.astype(int).tolist())]
