from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_documented_orders_are_those_of_the_skeletons() -> None:
    text = (REPOSITORY / "docs" / "reference" / "skeletons.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in text.split("## The order of the joints")[1].splitlines()
        if line.startswith("|")
    ][:35]
    _, *names = rows[0]
    assert sorted(names) == list_skeletons()
    for column, name in enumerate(names, 1):
        documented = [row[column] for row in rows[2:]]
        joints = get_skeleton(name).joints
        assert documented == [*joints, *[""] * (33 - len(joints))]
    assert [row[0] for row in rows[2:]] == [str(number) for number in range(33)]


def test_the_documented_ways_to_reorder() -> None:
    text = (REPOSITORY / "docs" / "reference" / "skeletons.md").read_text(encoding="utf-8")
    found = re.findall(r"\| `(\w+)` \| `(\[[\d, ]+\])` \|", text)
    orders = {name: json.loads(numbers) for name, numbers in found}
    # The bones that the program drawskt, which comes with MSR-Action3D, draws; joints from 1.
    ends = (
        "20 1 2 1 8 10 2 9 11 3 4 7 7 5 6 14 15 16 17",
        "3 3 3 8 10 12 9 11 13 4 7 5 6 14 15 16 17 18 19",
    )
    drawn = list(zip(*([int(word) - 1 for word in each.split()] for each in ends), strict=True))
    bones = get_skeleton("kinect20").bones
    reordered = {frozenset(orders["kinect20"][joint] for joint in bone) for bone in bones}
    assert reordered == {frozenset(bone) for bone in drawn}
    # The order of the HANDS 2017 challenge.
    fingers = ("thumb", "index", "middle", "ring", "little")
    names = ["wrist", *(f"{finger}_1" for finger in fingers)]
    names += [f"{finger}_{number}" for finger in fingers for number in (2, 3, 4)]
    assert tuple(names[number] for number in orders["hand21"]) == get_skeleton("hand21").joints


def test_the_two_orders_of_the_first_kinect() -> None:
    ours, sdk = get_skeleton("kinect20"), get_skeleton("kinect20-sdk")
    # NUI_SKELETON_POSITION_INDEX of the Kinect SDK 1.8.
    limbs = [("shoulder", "elbow", "wrist", "hand"), ("hip", "knee", "ankle", "foot")]
    assert sdk.joints == (
        *("hip_center", "spine", "shoulder_center", "head"),
        *(f"{side}_{part}" for parts in limbs for side in ("left", "right") for part in parts),
    )

    def named(skeleton: Skeleton, pairs: Sequence[tuple[int, int]]) -> set[tuple[str, str]]:
        return {(skeleton.joints[a], skeleton.joints[b]) for a, b in pairs}

    assert named(ours, ours.bones) == named(sdk, sdk.bones)
    assert named(ours, ours.pairs) == named(sdk, sdk.pairs)
    for key in ("center", "root_joint", "spine", "shoulders"):
        joints = [getattr(skeleton, key) for skeleton in (ours, sdk)]
        names = [
            [skeleton.joints[j] for j in np.atleast_1d(found)]
            for skeleton, found in zip((ours, sdk), joints, strict=True)
        ]
        assert names[0] == names[1]
