from __future__ import annotations

import numpy as np
import pytest

from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons
from pyg_stgcn.skeletons.posture import find_up, head_and_feet

# Facing the camera of a Kinect: y up, z away.
STANDING = {"head": 1.7, "shoulder": 1.4, "hip": 0.9, "foot": 0.0}
TO_AXES = {
    "+y": np.eye(3),
    "-y": np.diag([-1.0, -1.0, 1.0]),
    "+z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
}


def body(*names: str, spine: tuple[int, int] | None = None) -> Skeleton:
    bones = tuple((joint, 0) for joint in range(1, len(names)))
    return Skeleton("body", names, bones, center=0, spine=spine)


def standing(*heights: float) -> np.ndarray:
    """Frames of one person who walks away [1, T, V, 3]."""
    points = np.zeros((1, 5, len(heights), 3))
    points[..., 1] = heights
    points[..., 2] = 2 + np.arange(5)[:, None]
    return points


def direction(name: str) -> np.ndarray:
    return TO_AXES[name].T @ (0.0, 1.0, 0.0)


@pytest.mark.parametrize("up", TO_AXES)
@pytest.mark.parametrize("joints", [("head", "foot"), ("nose", "LAnkle"), ("shoulder_l", "hip_l")])
def test_up_leads_from_the_feet_to_the_head(up: str, joints: tuple[str, str]) -> None:
    points = standing(1.6, 0.2) @ TO_AXES[up]
    np.testing.assert_allclose(find_up(points, body(*joints)), direction(up))


def test_the_spine_counts_where_names_say_nothing() -> None:
    points = standing(0.9, 1.4) @ TO_AXES["-y"]
    np.testing.assert_allclose(find_up(points, body("a", "b", spine=(0, 1))), (0, -1, 0))
    np.testing.assert_allclose(find_up(points, body("a", "b")), (0, 1, 0))


def test_missing_joints_do_not_count() -> None:
    points = standing(1.6, 0.2) @ TO_AXES["-y"]
    points[:, 1:, 0] = np.nan
    skeleton = body("head", "foot")
    np.testing.assert_allclose(find_up(points, skeleton), (0, -1, 0))
    points[:, 0, 1] = np.nan
    np.testing.assert_allclose(find_up(points, skeleton), (0, 1, 0))


def test_bending_towards_the_camera_leaves_y_up() -> None:
    points = standing(0.7, 0.0)
    points[..., 0, 2] -= 1.0
    np.testing.assert_allclose(find_up(points, body("head", "foot")), (0, 1, 0))


def test_all_built_in_bodies_have_a_head_and_feet() -> None:
    for name in list_skeletons():
        head, feet = head_and_feet(get_skeleton(name))
        # Halpe has the nose and the top of the head.
        expected = {"hand21": 0, "halpe26": 2}.get(name, 1)
        assert (len(head), len(feet) >= 2) == (expected, name != "hand21")
