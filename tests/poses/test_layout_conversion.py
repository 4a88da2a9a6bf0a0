from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.joint_names import joint_key
from pyg_stgcn.poses.layout_conversion import convert_layout, map_joints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons

REPOSITORY = Path(__file__).resolve().parents[2]
BODIES_2D = ["blazepose33", "coco17", "halpe26", "openpose18", "openpose25"]


def recording(skeleton: Skeleton | str, channels: int = 2, num_frames: int = 3) -> Recording:
    """Two persons at random, a third of their joints missing."""
    skeleton = get_skeleton(skeleton) if isinstance(skeleton, str) else skeleton
    rng = np.random.default_rng(0)
    shape = (num_frames, 2, skeleton.num_joints)
    scores = rng.uniform(0.1, 1, shape) * (rng.uniform(size=shape) < 0.7)
    joints = rng.uniform(1, 640, (*shape, channels)) * (scores > 0)[..., None]
    frames = [
        Frame(number, j, s, np.array([4, 7]))
        for number, (j, s) in enumerate(
            zip(joints.astype(np.float32), scores.astype(np.float32), strict=True)
        )
    ]
    path = Path("poses.json")
    return Recording("poses", path, skeleton, lambda: iter(frames), channels, True, (480, 640))


@pytest.mark.parametrize("name", BODIES_2D)
@pytest.mark.parametrize("target", ["coco17", "openpose18"])
def test_joints_of_the_same_name_are_the_same(name: str, target: str) -> None:
    source = recording(name)
    result = convert_layout(source, target)
    assert result.skeleton == get_skeleton(target)
    before, after = source.skeleton.joints, result.skeleton.joints
    common = [joint for joint in after if joint in before]
    assert set(after) - set(common) <= {"neck"}
    old, new = ([joints.index(joint) for joint in common] for joints in (before, after))
    for a, b in zip(source.frames(), result.frames(), strict=True):
        assert a.number == b.number and np.array_equal(a.tracks, b.tracks)
        assert np.array_equal(a.joints[:, old], b.joints[:, new])
        assert np.array_equal(a.scores[:, old], b.scores[:, new])


def test_there_and_back_is_the_identity() -> None:
    source = recording("coco17")
    back = convert_layout(convert_layout(source, "openpose18"), "coco17")
    for a, b in zip(source.frames(), back.frames(), strict=True):
        assert np.array_equal(a.joints, b.joints) and np.array_equal(a.scores, b.scores)


def test_the_neck_is_the_middle_of_the_shoulders() -> None:
    source = recording("coco17")
    names, (frame, *_) = source.skeleton.joints, source.frames()
    (converted, *_) = convert_layout(source, "openpose18").frames()
    left, right = names.index("left_shoulder"), names.index("right_shoulder")
    for person in range(2):
        joints, scores = frame.joints[person], frame.scores[person]
        neck, score = converted.joints[person, 1], converted.scores[person, 1]
        if min(scores[left], scores[right]) > 0:
            np.testing.assert_allclose(neck, (joints[left] + joints[right]) / 2, rtol=1e-6)
        else:
            assert not neck.any()
        assert score == min(scores[left], scores[right])


def test_a_computed_joint_is_missing_where_a_part_is() -> None:
    source = recording("coco17", channels=3)
    (frame, *_) = source.frames()
    frame.scores[:, 5:7] = 1, 0.5
    frame.scores[0, 6], frame.joints[0, 6] = 0, 0
    frame.joints[1, 5:7] = (2, 4, 6), (4, 8, 10)
    joint = Skeleton("neck", ("neck", "nose"), ((1, 0),), center=0)
    (converted, *_) = convert_layout(source, joint).frames()
    assert converted.joints[:, 0].tolist() == [[0, 0, 0], [3, 6, 8]]
    assert converted.scores[:, 0].tolist() == [0, 0.5]


@pytest.mark.parametrize(
    "spellings",
    [
        ("left_shoulder", "LShoulder", "Left Shoulder", "LEFT_SHOULDER", "shoulder_l", "lsho"),
        ("right_ear", "REar", "rear", "ear (right)", "R.Ear", "right-ear", "rightEar"),
        ("left_mouth", "mouth_left", "mouth (left)", "MOUTH_LEFT"),
        ("right_big_toe", "RBigToe", "big_toe_right", "right big toe"),
        ("mid_hip", "MidHip", "pelvis", "hip_center", "spine_base", "Hip", "root"),
        ("left_eye_inner", "left eye (inner)", "LEFT_EYE_INNER"),
        ("left_pinky", "LEFT_PINKY", "left_little"),
        ("neck", "Neck", "NECK"),
    ],
)
def test_spellings_of_one_joint(spellings: tuple[str, ...]) -> None:
    assert len({joint_key(name) for name in spellings}) == 1


def test_the_joints_of_a_layout_have_different_meanings() -> None:
    for name in list_skeletons():
        joints = get_skeleton(name).joints
        assert len({joint_key(joint) for joint in joints}) == len(joints)
    different = (
        "left_hip",
        "mid_hip",
        "left_hand",
        "left_hand_tip",
        "leg",
        "Lärm",
        "l",
        "",
        "左肩",
    )
    assert len({joint_key(name) for name in different}) == len(different)


def test_own_names_in_another_order() -> None:
    coco = get_skeleton("coco17")
    short = [n.replace("left_", "L ").replace("right_", "R ").title() for n in coco.joints]
    order = np.random.default_rng(1).permutation(17)
    bones = tuple((int(order.argsort()[a]), int(order.argsort()[b])) for a, b in coco.bones)
    own = Skeleton("own", tuple(short[j] for j in order), bones, center=int(order.argmin()))
    source = recording(own)
    for before, after in zip(
        source.frames(), convert_layout(source, "coco17").frames(), strict=True
    ):
        assert np.array_equal(before.joints, after.joints[:, order])


def test_the_same_joints_with_other_bones_are_not_touched() -> None:
    source = recording("coco17")
    coco = source.skeleton
    star = Skeleton("star", coco.joints, tuple((j, 0) for j in range(1, 17)), center=0)
    converted = convert_layout(source, star)
    assert converted.skeleton is star and converted.frames is source.frames


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("coco17", "openpose25", "no left_big_toe, left_small_toe, left_heel, right_big_toe"),
        ("openpose25", "halpe26", "it has no head; it can be converted to coco17, openpose18"),
        (
            "hand21",
            "coco17",
            "it has no nose, left_eye, .* right_ankle; keep 'hand21', or give its joints",
        ),
        ("coco17", "hand21", "poses.json: the layout 'coco17' .* no wrist, thumb_1"),
        ("sbu15", "coco17", "no nose, .*left_ankle"),
    ],
)
def test_an_impossible_conversion_lists_the_missing_joints(
    name: str, target: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        convert_layout(recording(name), target)


def test_two_joints_with_one_meaning() -> None:
    own = Skeleton("own", ("hip", "pelvis", "nose"), ((0, 1), (2, 1)), center=1)
    wanted = Skeleton("wanted", ("mid_hip", "nose"), ((1, 0),), center=0)
    with pytest.raises(InputError, match=r"'hip' and 'pelvis' .* may both be 'mid_hip'"):
        convert_layout(recording(own), wanted)
    exact = Skeleton("exact", ("pelvis", "nose"), ((1, 0),), center=0)
    assert convert_layout(recording(own), exact).skeleton == exact


def test_a_long_list_is_cut() -> None:
    names = tuple(f"marker {number}" for number in range(999))
    large = Skeleton("large", names, tuple((joint, 0) for joint in range(1, 999)), center=0)
    message = r"it has no marker 0, .*marker 39 and 959 more; it can be converted to openpose18"
    with pytest.raises(InputError, match=message):
        convert_layout(recording("coco17"), large)


def test_the_documented_conversions_are_the_possible_ones() -> None:
    text = (REPOSITORY / "docs" / "reference" / "poses.md").read_text(encoding="utf-8")
    section = text.split("## Layouts and conversion")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \| (`.*`) \|$", section, re.M)
    documented = {
        (source, target)
        for row in rows
        for source in re.findall(r"`([\w-]+)`", row[0])
        for target in re.findall(r"`([\w-]+)`", row[1])
        if source != target
    }

    def possible(source: str, target: str) -> bool:
        try:
            map_joints(get_skeleton(source), get_skeleton(target), "poses.json")
        except InputError:
            return False
        return True

    pairs = permutations(list_skeletons(), 2)
    assert documented == {pair for pair in pairs if possible(*pair)}
