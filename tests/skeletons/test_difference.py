from __future__ import annotations

import pytest

from pyg_stgcn.skeletons import Skeleton, get_skeleton


def describe(**changes: object) -> dict[str, object]:
    """A small valid skeleton, changed."""
    description: dict[str, object] = {
        "name": "arm",
        "joints": ["neck", "left_hand", "right_hand", "hip"],
        "bones": [["left_hand", "neck"], ["right_hand", "neck"], ["hip", "neck"]],
        "center": "neck",
    }
    description.update(changes)
    return {key: value for key, value in description.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, ""),
        ({"name": "leg"}, "its name is 'leg', not 'arm'"),
        (
            {"joints": ["neck", "right_hand", "left_hand", "hip"]},
            "its joints are in another order: joint 1 is 'right_hand', not 'left_hand', "
            "joint 2 is 'left_hand', not 'right_hand'",
        ),
        (
            {
                "joints": ["neck", "left_hand", "right_hand", "tail"],
                "bones": [[1, 0], [2, 0], [3, 0]],
            },
            "joint 3 is 'tail', not 'hip'",
        ),
        (
            {"joints": ["neck", "hip"], "bones": [[1, 0]]},
            "it has 2 joints ('arm'), not 4 ('arm')",
        ),
        (
            {"bones": [[1, 0], [2, 1], [3, 0]]},
            "it has the bones right_hand - left_hand and lacks the bones right_hand - neck",
        ),
        ({"bones": [[2, 0], [1, 0], [3, 0]]}, "its bones are in another order"),
        ({"center": "hip", "root": "neck"}, "center is 'hip', not 'neck'"),
        ({"pairs": [[1, 2]], "spine": [3, 0]}, "other pairs, spine"),
    ],
)
def test_the_difference_of_two_skeletons_is_said_in_words(
    changes: dict[str, object], difference: str
) -> None:
    skeleton = Skeleton.from_dict(describe(**changes))
    assert skeleton.difference(Skeleton.from_dict(describe())) == difference


def test_a_long_difference_is_cut() -> None:
    text = get_skeleton("kinect20").difference(get_skeleton("kinect20-sdk"))
    assert text.endswith("joint 2 is 'spine', not 'shoulder_center', and 1 more")
    chains = [
        Skeleton(
            "chain",
            tuple(f"{name}{number}" for number in range(1024)),
            tuple((number, number - 1) for number in range(1, 1024)),
            center=0,
        )
        for name in ("joint", "other")
    ]
    assert len(chains[0].difference(chains[1])) < 200
