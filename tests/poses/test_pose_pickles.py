"""Pickles: annotations as PYSKL writes them, arrays, and what is no pose file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import Recording, open_poses
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.unpickle import load_pickle

RNG = np.random.default_rng(0)
T = 7
SIZE = (480, 640)
CHAIN = Skeleton("chain", tuple("abcdef"), tuple((i + 1, i) for i in range(5)), 0)


def annotation(name: str = "walk", joints: int = 17, **more: Any) -> dict[str, Any]:
    keypoint = RNG.uniform(10, 470, (2, T, joints, 2)).astype(np.float16)
    score = RNG.uniform(0.1, 1, (2, T, joints)).astype(np.float16)
    fields = {"frame_dir": name, "label": 0, "img_shape": SIZE, "total_frames": T}
    return fields | {"keypoint": keypoint, "keypoint_score": score} | more


def save(folder: Path, content: Any) -> Path:
    path = folder / "clips.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def whole(recording: Recording) -> NDArray[np.float32]:
    return np.stack(
        [
            np.concatenate([frame.joints, frame.scores[..., None]], axis=-1)
            for frame in recording.frames()
        ],
        axis=1,
    )


@pytest.mark.parametrize("is_list", [True, False])
def test_a_recording_for_each_annotation(tmp_path: Path, is_list: bool) -> None:
    clips = [annotation("walk"), annotation("run")]
    content = clips if is_list else {"annotations": clips, "split": {"train": ["walk"]}}
    recordings = open_poses(save(tmp_path, content), fps=30)
    assert [recording.name for recording in recordings] == ["walk", "run"]
    for recording, clip in zip(recordings, clips, strict=True):
        assert (recording.skeleton.name, recording.image_size) == ("coco17", SIZE)
        assert (recording.num_frames, recording.fps, recording.has_score) == (T, 30, True)
        expected = np.concatenate([clip["keypoint"], clip["keypoint_score"][..., None]], axis=-1)
        assert np.array_equal(whole(recording), expected)


def test_the_same_joints_as_in_the_dataset(tmp_path: Path) -> None:
    one = annotation("walk")
    one["keypoint"][1, 3:] = 0
    one["keypoint"][0, 2, 5] = 0
    one["keypoint_score"][0, 4, 6] = 0
    path = save(tmp_path, [one])
    data = SkeletonPickle(path, root=tmp_path / "store", split="all", log=False)[0]
    x = data.x.view(2, 17, T, 3).transpose(1, 2).numpy()
    for frame in open_poses(path)[0].frames():
        assert frame.tracks is not None
        for joints, scores, track in zip(frame.joints, frame.scores, frame.tracks, strict=True):
            seen = scores > 0
            kept = x[track, frame.number]
            assert np.array_equal(joints[seen], kept[seen, :2])
            assert np.array_equal(scores[seen], kept[seen, 2])
            assert not (kept[~seen, :2].any(axis=1) & (kept[~seen, 2] > 0)).any()
        assert set(range(2)) - set(frame.tracks.tolist()) == ({1} if frame.number >= 3 else set())


def test_two_persons_of_one_frame(tmp_path: Path) -> None:
    one = annotation("walk")
    one |= {"keypoint": one["keypoint"][:, :1], "keypoint_score": one["keypoint_score"][:, :1]}
    (recording,) = open_poses(save(tmp_path, [one]))
    (frame,) = recording.frames()
    assert np.array_equal(frame.joints, one["keypoint"][:, 0])
    one |= {"keypoint": one["keypoint"][0], "keypoint_score": one["keypoint_score"][0]}
    with pytest.raises(
        InputError, match=r"clip 'walk': has shape \(1, 17, 2\), whose axes cannot be told; save"
    ):
        open_poses(save(tmp_path, [one]))


def test_joints_in_space_and_other_layouts(tmp_path: Path) -> None:
    body = {"frame_dir": "a", "label": 0, "keypoint": RNG.uniform(0, 1, (1, T, 25, 3))}
    (recording,) = open_poses(save(tmp_path, [body]))
    assert (recording.skeleton.name, recording.num_channels) == ("ntu25", 3)
    with pytest.raises(InputError, match=r"clip 'walk': .*6 joints, which no built-in layout has"):
        open_poses(save(tmp_path, [annotation(joints=6)]))
    meta = {"edges": CHAIN.bones, "joints": list(CHAIN.joints), "center": 0}
    content = {"annotations": [annotation(joints=6)], "meta": meta}
    (recording,) = open_poses(save(tmp_path, content))
    assert recording.skeleton.joints == CHAIN.joints
    (recording,) = open_poses(save(tmp_path, [annotation(joints=6)]), skeleton=CHAIN)
    assert recording.skeleton is CHAIN
    with pytest.raises(InputError, match="meta describes no skeleton"):
        open_poses(save(tmp_path, content | {"meta": {"edges": [[0]]}}))


def test_bad_annotations_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = annotation("bad")
    bad["keypoint"][:] = 0
    recordings = open_poses(save(tmp_path, [annotation("good"), bad, {"frame_dir": "none"}]))
    assert [recording.name for recording in recordings] == ["good"]
    assert "left out 2 of 3 clips; the first: " in caplog.text
    assert "clip 'bad': has no joint that is not zero" in caplog.text
    with pytest.raises(InputError, match="clip 'bad': has no joint that is not zero"):
        open_poses(save(tmp_path, [bad]))


def test_arrays_in_a_pickle(tmp_path: Path) -> None:
    clip = RNG.uniform(10, 400, (T, 17, 2))
    (recording,) = open_poses(save(tmp_path, clip))
    assert recording.name == "clips"
    found = open_poses(save(tmp_path, {"wave": clip, "run": clip}))
    assert [recording.name for recording in found] == ["wave", "run"]
    found = open_poses(save(tmp_path, {"pose": [clip, clip], "label": ["wave", "run"]}))
    assert [recording.name for recording in found] == ["clips_00000", "clips_00001"]
    assert np.array_equal(whole(found[1])[0, ..., :2], clip.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, r"holds a dict of 'a' \(int\), which is no clip; write 'annotations' as"),
        ([{"frame_dir": "a", "frame_inds": [1]}], "clip 'a' has no array 'keypoint', only"),
        ([annotation(img_shape=(0, 640))], r"img_shape is not \(height, width\)"),
        ([annotation(keypoint_score=np.zeros((2, T)))], r"scores of shape \(2, 7\)"),
        ([], "holds a list of length 0, which is no clip"),
        ("text", "holds a str of length 4, which is no clip"),
    ],
)
def test_other_pickles(tmp_path: Path, content: Any, message: str) -> None:
    path = save(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        open_poses(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_poses_about_the_body(shared_data: Path) -> None:
    path = shared_data / "data/poses/jhmdb_pickle/GT_train_1_every30th.pkl"
    raw = load_pickle(path)["pose"]
    joints = tuple(f"joint_{i}" for i in range(15))
    layout = Skeleton("jhmdb15", joints, tuple((i + 1, i) for i in range(14)), 0)
    recordings = open_poses(path, skeleton=layout)
    assert [recording.num_frames for recording in recordings] == [len(clip) for clip in raw]
    for recording, clip in zip(recordings, raw, strict=True):
        assert recording.image_size == (2, 2)
        np.testing.assert_allclose(whole(recording)[0, ..., :2] - 1, clip, atol=1e-6)


def test_scores_in_lists(tmp_path: Path) -> None:
    one = annotation()
    listed = one | {"keypoint_score": one["keypoint_score"].tolist()}
    (recording,) = open_poses(save(tmp_path, {"annotations": [listed]}))
    expected = open_poses(save(tmp_path, {"annotations": [one]}))[0]
    np.testing.assert_array_equal(whole(recording), whole(expected))
    ragged = one | {"keypoint_score": [[1.0], [1.0, 2.0]]}
    with pytest.raises(InputError, match="scores of shape"):
        open_poses(save(tmp_path, {"annotations": [ragged]}))


def test_a_depth_is_no_score_although_the_image_is_known(tmp_path: Path) -> None:
    one = annotation()
    depth = RNG.uniform(-50, 50, (2, T, 17, 1))
    one["keypoint"] = np.concatenate(
        [one["keypoint"], depth, one.pop("keypoint_score")[..., None]], axis=-1
    )
    (recording,) = open_poses(save(tmp_path, [one]), skeleton="coco17")
    assert recording.num_channels == 3
    np.testing.assert_allclose(
        np.stack([frame.joints for frame in recording.frames()], axis=1),
        one["keypoint"][..., :3],
        rtol=1e-6,
    )
