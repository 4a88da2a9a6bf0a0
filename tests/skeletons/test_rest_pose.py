from __future__ import annotations

import numpy as np
import pytest

from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons
from pyg_stgcn.skeletons.rest_pose import rest_pose

BODIES = [name for name in list_skeletons() if name != "hand21"]


def own(num_joints: int) -> Skeleton:
    joints = tuple(f"marker {number}" for number in range(num_joints))
    bones = tuple((joint, (joint - 1) // 2) for joint in range(1, num_joints))
    return Skeleton("own", joints, bones, center=0)


@pytest.mark.parametrize(
    "skeleton", [*map(get_skeleton, list_skeletons()), own(1), own(2), own(40)]
)
def test_every_joint_has_a_place_of_its_own(skeleton: Skeleton) -> None:
    pose = rest_pose(skeleton)
    assert pose.shape == (skeleton.num_joints, 2) and np.isfinite(pose).all()
    assert np.array_equal(pose, rest_pose(skeleton))
    apart = np.linalg.norm(pose[:, None] - pose, axis=-1)
    assert apart[~np.eye(len(pose), dtype=bool)].min(initial=1) > 0.01
    assert np.ptp(pose, axis=0).max() <= 1.1


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_upright_and_symmetric(name: str) -> None:
    skeleton = get_skeleton(name)
    pose = dict(zip(skeleton.joints, rest_pose(skeleton), strict=True))
    for left, right in skeleton.pairs:
        (x, y), (mirrored, same) = (pose[skeleton.joints[joint]] for joint in (left, right))
        assert x > 0 and (mirrored, same) == (-x, y)
    assert pose["left_knee"][1] < pose["left_hip"][1] < pose["left_shoulder"][1]
    assert pose["left_hip"][1] < pose.get("head", pose.get("nose"))[1]


def test_other_graphs_spread_as_their_bones() -> None:
    chain = Skeleton("chain", tuple("abcdef"), tuple((i, i - 1) for i in range(1, 6)), center=0)
    pose = rest_pose(chain)
    from_first = np.linalg.norm(pose - pose[0], axis=1)
    assert (np.diff(from_first) > 0).all()
