from __future__ import annotations

import logging
import pickle
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.datasets import Clip, ClipStore, SkeletonArrays, SkeletonPickle
from pyg_stgcn.datasets.readers import geometry
from pyg_stgcn.datasets.readers.geometry import Geometry, measure_geometry
from pyg_stgcn.datasets.synthetic.synthetic_actions import generate_clip
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.transforms import ToStream

Clips = Sequence[NDArray[np.floating]]

#: A person 1.6 m tall whose forearm grows and shrinks by 0.1 m about its length of 0.3 m.
PERSON = Skeleton(
    "person",
    ("head", "hip", "foot", "elbow", "hand"),
    ((0, 1), (2, 1), (3, 0), (4, 3)),
    center=1,
)
FOREARM = 0.3 + 0.1 * np.array([1, -1] * 10)
SDK = [3, 2, 1, 0, *range(4, 20)]


def person() -> NDArray[np.float64]:
    points = np.zeros((1, 20, 5, 3))
    points[..., :4, :] = [(0, 1.6, 3), (0, 0.9, 3), (0, 0.1, 3), (0.4, 1.6, 3)]
    points[..., 4, :] = points[..., 3, :]
    points[0, :, 4, 1] -= FOREARM
    points[..., 0] += 0.1 * np.arange(20)[:, None]  # Walks; this changes no bone.
    return points


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., Geometry]:
    def measure(clips: Clips, skeleton: Skeleton, *, has_score: bool = False) -> Geometry:
        meta = {"dtype": "float32", "splits": {}}
        parts = [Clip(str(i), 0, clip.astype(np.float32)) for i, clip in enumerate(clips)]
        store = ClipStore.build(tmp_path / "store", parts, meta)
        return measure_geometry(store, skeleton, has_score=has_score)

    return measure


def reordered(clips: Clips, order: Sequence[int] | NDArray[np.int64]) -> Clips:
    return [clip[:, :, list(order)] for clip in clips]


def synthetic() -> Clips:
    return [generate_clip(0, 1, 3, action, 0) for action in range(16)]


def test_heights_and_bones_by_hand(measure: Callable[..., Geometry]) -> None:
    found = measure([person(), person()], PERSON)
    assert (found.up, found.relative) == ("+y", False)
    np.testing.assert_allclose(found.heights, [0.7, 0, -0.8, 0.7, 0.7 - 0.3], atol=1e-6)
    np.testing.assert_allclose(found.lengths, [0.7, 0.8, 0.4, 0.3], rtol=1e-5)
    np.testing.assert_allclose(found.variation, [0, 0, 0, 1 / 3], atol=1e-5)


def test_poses_relative_to_a_joint_that_is_not_the_center_are_warned_of(tmp_path: Path) -> None:
    def warnings(root: str) -> list[str]:
        joint = PERSON.joints.index(root)
        clip = person() - person()[:, :, [joint]]
        found = SkeletonArrays(tmp_path / root, [clip], [0], PERSON).geometry.warnings
        return [warning for warning in found if "origin" in warning]

    assert warnings("hip") == []
    (warning,) = warnings("elbow")
    assert "joint 'elbow' is missing in all frames" in warning and "make it the center" in warning


@pytest.mark.parametrize("up", ["+y", "-y", "+z"])
def test_heights_are_along_the_axis_that_is_up(measure: Callable[..., Geometry], up: str) -> None:
    turns = {"+y": (0, 1, 2), "-y": (0, 1, 2), "+z": (0, 2, 1)}
    points = person()[..., turns[up]] * (1, -1 if up == "-y" else 1, 1)
    found = measure([points], PERSON)
    assert found.up == up and found.warnings == ()
    np.testing.assert_allclose(found.heights, [0.7, 0, -0.8, 0.7, 0.4], atol=1e-6)


def test_missing_joints_do_not_count(measure: Callable[..., Geometry]) -> None:
    points = person()
    points[0, ::2, 4] = 0  # In the other frames the forearm has one length.
    points[0, 3:6] = 0
    found = measure([points], PERSON)
    np.testing.assert_allclose(found.lengths[3], 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.variation[3], 0, atol=1e-5)
    points[..., 4, :] = 0
    found = measure([points], PERSON)
    assert np.isnan([found.heights[4], found.lengths[3], found.variation[3]]).all()
    assert np.isfinite(found.heights[:4]).all() and np.isfinite(found.lengths[:3]).all()


def test_uncertain_joints_in_the_plane_do_not_count(measure: Callable[..., Geometry]) -> None:
    points = 100 * person() * (1, -1, 0) + (300, 500, 0.9)
    sure = measure([points], PERSON, has_score=True)
    guessed = np.concatenate([points, points], axis=1)
    guessed[:, 20:, 2] = (9, 9, 0.2)
    assert sure.relative and sure.up == "-y"
    again = measure([guessed], PERSON, has_score=True)
    np.testing.assert_allclose(again.heights[2], sure.heights[2], rtol=1e-5)
    # As fractions of the body's size, whatever the size of the image.
    halves = points * (0.5, 0.5, 1)
    np.testing.assert_allclose(
        measure([halves], PERSON, has_score=True).lengths, sure.lengths, rtol=1e-5
    )


def test_the_plane_without_scores(measure: Callable[..., Geometry]) -> None:
    points = 100 * person() * (1, -1, 0) + (300, 500, 0.9)
    scored = measure([points], PERSON, has_score=True)
    found = measure([points[..., :2]], PERSON)
    assert found.relative and found.up == "-y" and found.warnings == ()
    np.testing.assert_allclose(found.heights, scored.heights)


def test_a_sample_of_the_clips_is_enough(
    measure: Callable[..., Geometry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometry, "_CLIPS", 3)
    monkeypatch.setattr(geometry, "_POSITIONS", 3 * 5 * 8)
    read = []
    original = ClipStore.__getitem__
    monkeypatch.setattr(ClipStore, "__getitem__", lambda s, i: read.append(i) or original(s, i))
    found = measure([person()] * 9, PERSON)
    assert read == [0, 4, 8]
    np.testing.assert_allclose(found.lengths[:3], [0.7, 0.8, 0.4], rtol=1e-5)


@pytest.mark.parametrize("has_score", [False, True], ids=["space", "plane"])
def test_orders_of_synthetic_clips(measure: Callable[..., Geometry], has_score: bool) -> None:
    clips, skeleton = synthetic(), get_skeleton("ntu25")
    if has_score:
        clips = [np.concatenate([c[..., :1], -c[..., 1:2], 0 * c[..., :1] + 1], -1) for c in clips]
    assert measure(clips, skeleton, has_score=has_score).warnings == ()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(25)
        found = measure(reordered(clips, order), skeleton, has_score=has_score)
        assert "the joints do not lie in the order of the skeleton 'ntu25'" in found.warnings[0]


def test_one_wrong_joint_is_named(measure: Callable[..., Geometry]) -> None:
    order = np.arange(25)
    order[[6, 15]] = 15, 6  # The left wrist and the left foot.
    (warning, *_) = measure(reordered(synthetic(), order), get_skeleton("ntu25")).warnings
    assert any(bone in warning for bone in ("left_wrist - left_elbow", "left_hand - left_wrist"))
    assert "left_foot - left_ankle" in warning


def hands(frames: int) -> NDArray[np.float64]:
    """A hand that opens and closes its fingers one by one [1, T, 21, 3], in centimetres."""
    rng = np.random.default_rng(0)
    points = np.zeros((1, frames, 21, 3))
    segments = np.array([[4, 3.2, 2.7], [4, 2.5, 2], [4.5, 2.8, 2.1], [4.2, 2.6, 2.1], [3.3, 2, 2]])
    for frame in range(frames):
        for finger, bones in enumerate(segments):
            side = 0.5 - 0.25 * finger
            end = np.array([4 * side, 9.0 if finger else 4.0, 0.0])
            points[0, frame, 1 + 4 * finger] = end
            bend, curl = 0.0, rng.uniform(0, 1)
            for number, length in enumerate(bones):
                bend += 1.3 * curl
                step = np.array([side, 1.0, 0.0]) * np.cos(bend) - (0, 0, np.sin(bend))
                end = end + length * step / np.linalg.norm(step)
                points[0, frame, 2 + 4 * finger + number] = end
    return points + rng.normal(0, 0.1, points.shape)


def test_orders_of_hands(measure: Callable[..., Geometry]) -> None:
    clips, skeleton = [hands(60)], get_skeleton("hand21")
    assert measure(clips, skeleton).warnings == ()
    # Knuckles first, then finger by finger (FPHA), and fingers from their tips (some gloves).
    knuckles = [0, *range(1, 21, 4), *(j for f in range(5) for j in range(4 * f + 2, 4 * f + 5))]
    tips = [0, *(4 * finger + 4 - joint for finger in range(5) for joint in range(4))]
    for order in (knuckles, tips, [*range(1, 21), 0]):
        assert "do not lie in the order" in measure(reordered(clips, order), skeleton).warnings[0]


def test_the_head_below_the_feet(measure: Callable[..., Geometry]) -> None:
    points = 100 * person() * (1, 1, 0) + (300, 100, 0.9)  # y up, not as in an image
    (warning,) = measure([points], PERSON, has_score=True).warnings
    assert "the head is below the feet" in warning and "flip y" in warning
    skeleton = Skeleton("spine", PERSON.joints, PERSON.bones, center=1, spine=(0, 1))
    (warning,) = measure([person()], skeleton).warnings
    assert "the head is below the feet, measured along the spine from 'head' to 'hip'" in warning


def test_a_bone_that_is_far_from_rigid(measure: Callable[..., Geometry]) -> None:
    points = person()
    points[0, :, 4, 1] = 1.6 - 3 * FOREARM
    (warning,) = measure([points], PERSON).warnings
    assert "1 bone is far from rigid: hand - elbow (0.9 ± 33 %)" in warning


def test_too_few_frames_tell_nothing(measure: Callable[..., Geometry]) -> None:
    clip = synthetic()[0][:1, :3, ::-1]
    assert measure([clip], get_skeleton("ntu25")).warnings == ()
    assert np.isnan(measure([clip], get_skeleton("ntu25")).variation).all()


def test_what_has_no_bones_or_no_certain_joint(measure: Callable[..., Geometry]) -> None:
    point = Skeleton("point", ("marker",), (), center=0)
    found = measure([person()[:, :, 2:3]], point)
    assert found.heights == [0] and len(found.lengths) == 0 and found.warnings == ()
    unsure = person() * (1, 1, 0) + (0, 0, 0.1)
    found = measure([unsure], PERSON, has_score=True)
    assert np.isnan(found.heights).all() and np.isnan(found.lengths).all()
    still = np.ones((1, 30, 5, 3))  # All joints in one place.
    assert measure([still], PERSON).warnings == ()


def test_large_skeletons(measure: Callable[..., Geometry]) -> None:
    bones = tuple((joint, joint - 1) for joint in range(1, 1024))
    skeleton = Skeleton("chain", tuple(map(str, range(1024))), bones, center=0)
    clip = np.random.default_rng(0).normal(size=(1, 30, 1024, 3))
    found = measure([clip], skeleton)
    np.testing.assert_allclose(found.lengths.mean(), 2.26, atol=0.05)
    # The distances between all joints in all frames would be 1.6 GB.
    bones = tuple((joint, joint - 1) for joint in range(1, 256))
    skeleton = Skeleton("chain", tuple(map(str, range(256))), bones, center=0)
    clip = np.cumsum(np.random.default_rng(0).normal(size=(1, 1024, 256, 3)), axis=2)
    tracemalloc.start()
    assert measure([clip], skeleton).warnings == ()
    assert tracemalloc.get_traced_memory()[1] < 2e8
    tracemalloc.stop()


def published(shared_data: Path, file: str, step: int) -> Clips:
    with (shared_data / "data" / file).open("rb") as content:
        annotations = pickle.load(content)["annotations"][::step]
    if "keypoint_score" not in annotations[0]:
        return [np.asarray(each["keypoint"], float) for each in annotations]
    return [
        np.concatenate([each["keypoint"], each["keypoint_score"][..., None]], -1).astype(float)
        for each in annotations
    ]


@pytest.mark.parametrize(
    ("file", "step", "name", "has_score"),
    [
        ("utd_mhad/utd_mhad_reference.pkl", 10, "kinect20", False),
        ("sbu/sbu.pkl", 3, "sbu15", False),
        ("pyskl/mini_ucf101.pkl", 1, "coco17", True),
    ],
)
def test_published_data_are_in_order(
    shared_data: Path,
    measure: Callable[..., Geometry],
    file: str,
    step: int,
    name: str,
    has_score: bool,
) -> None:
    clips, skeleton = published(shared_data, file, step), get_skeleton(name)
    assert measure(clips, skeleton, has_score=has_score).warnings == ()
    order = np.random.default_rng(0).permutation(skeleton.num_joints)
    found = measure(reordered(clips, order), skeleton, has_score=has_score)
    assert "do not lie in the order" in found.warnings[0]


def test_recordings_of_ntu_are_in_order(
    shared_data: Path, measure: Callable[..., Geometry]
) -> None:
    files = sorted((shared_data / "golden" / "ntu_raw").glob("*.npz"))
    clips = [np.load(file)["keypoint"] for file in files]
    assert measure(clips, get_skeleton("ntu25")).warnings == ()


def test_openpose_clips_are_in_order(shared_data: Path, measure: Callable[..., Geometry]) -> None:
    files = sorted((shared_data / "data" / "poses" / "stgcn_npy").rglob("*.npy"))
    clips = [np.load(file).transpose(3, 1, 2, 0) for file in files]
    skeleton = get_skeleton("openpose18")
    assert measure(clips, skeleton, has_score=True).warnings == ()
    order = np.random.default_rng(0).permutation(18)
    found = measure(reordered(clips, order), skeleton, has_score=True)
    assert "do not lie in the order" in found.warnings[0]


@pytest.mark.parametrize(("name", "other"), [("kinect20-sdk", "kinect20"), ("kinect20", None)])
def test_the_other_order_of_the_kinect_is_found(
    shared_data: Path, measure: Callable[..., Geometry], name: str, other: str | None
) -> None:
    clips = published(shared_data, "utd_mhad/utd_mhad_reference.pkl", 10)
    if other is None:
        clips, other = reordered(clips, SDK), "kinect20-sdk"
    (order, *_) = measure(clips, get_skeleton(name)).warnings
    assert f"the joints do not lie in the order of the skeleton '{name}'" in order
    assert f"they fit the skeleton '{other}' (--skeleton {other})" in order
    assert measure(clips, get_skeleton(other)).warnings == ()


def test_a_wrong_order_is_said_once_when_the_store_is_built(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = reordered(synthetic(), np.random.default_rng(0).permutation(25))
    annotations = [
        {"frame_dir": str(i), "label": 0, "total_frames": clip.shape[1], "keypoint": clip}
        for i, clip in enumerate(clips)
    ]
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(annotations))

    def warnings() -> int:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            dataset = SkeletonPickle(path, skeleton="ntu25", split="all")
            _ = dataset.geometry if again else None
        return sum("do not lie in the order" in record.message for record in caplog.records)

    again = True
    assert warnings() == 1
    assert warnings() == 1
    again = False
    assert warnings() == 0


def test_what_a_pre_transform_makes_is_not_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = [generate_clip(0, 1, 3, action, 0) for action in range(4)]
    skeleton = get_skeleton("ntu25")
    with caplog.at_level(logging.WARNING):
        SkeletonArrays(
            tmp_path, clips, [0] * 4, skeleton=skeleton, pre_transform=ToStream("bone", skeleton)
        )
    assert not caplog.records
