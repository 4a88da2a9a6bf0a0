from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.datasets.readers.reading import ClipSource, check_clip
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.datasets.store.present_joints import find_present, hidden_fraction
from pyg_stgcn.datasets.store.statistics import missing_in
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import PreNormalize3D, standard_transform

NTU, COCO = get_skeleton("ntu25"), get_skeleton("coco17")
SPINE_MID = 1

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write clips as a pickle, in 2-D with scores (channels x, y, score) where they have a size."""

    def write(*keypoints: NDArray[np.float32], size: tuple[int, int] | None = None) -> Path:
        annotations: list[dict[str, Any]] = []
        for number, keypoint in enumerate(keypoints):
            fields = {"frame_dir": f"clip{number}", "label": 0, "keypoint": keypoint}
            if size is not None:
                fields |= {"keypoint": keypoint[..., :2], "keypoint_score": keypoint[..., 2]}
                fields["img_shape"] = size
            annotations.append(fields)
        path = tmp_path / "data.pkl"
        path.write_bytes(pickle.dumps(annotations))
        return path

    return write


def walking(persons: int = 1, frames: int = 20) -> NDArray[np.float32]:
    """Bodies three metres away from a camera."""
    rng = np.random.default_rng(0)
    pose = rng.uniform(-0.5, 0.5, (persons, 1, 25, 3)) + (0.3, 0.2, 3)
    step = np.linspace(0, 0.4, frames).reshape(1, -1, 1, 1) * (1, 0.1, 0.5)
    return (pose + step + rng.normal(0, 0.003, (persons, frames, 25, 3))).astype(np.float32)


def relative(keypoint: NDArray[np.float32], joint: int = SPINE_MID) -> NDArray[np.float32]:
    return keypoint - keypoint[:, :, joint : joint + 1]


def source(**options: Any) -> ClipSource:
    return ClipSource(**{"skeleton": NTU, "classes": ["x"], "splits": {}, "clips": ()} | options)


def test_a_root_at_the_origin_is_kept_as_a_position(write: Write) -> None:
    keypoint = relative(walking(persons=2))
    keypoint[1, 5:8] = 0
    keypoint[0, 3, 7] = 0
    dataset = SkeletonPickle(write(keypoint), split="all")
    expected = np.ones((2, 20, 25), bool)
    expected[1, 5:8] = False
    expected[0, 3, 7] = False
    data = dataset[0]
    assert data.present.dtype == torch.bool
    assert torch.equal(
        data.present, torch.from_numpy(expected).transpose(1, 2).reshape(data.x.shape[:2])
    )
    data.validate(raise_on_error=True)
    missing = missing_in(dataset)
    assert missing.joints[SPINE_MID] == 0
    assert missing.joints[7] == pytest.approx(1 / 37)
    assert missing.frames == pytest.approx(3 / 20)


def test_what_a_reader_knows_is_kept_and_coordinates_still_count(tmp_path: Path) -> None:
    keypoint = walking(persons=2)
    keypoint[0, 2, 4] = 0
    given = np.ones((2, 20, 25), bool)
    given[0, 6, 9] = False
    clip = check_clip(Clip("c", 0, keypoint, present=given), source())
    assert clip.present is not None
    assert np.argwhere(~clip.present).tolist() == [[0, 2, 4], [0, 6, 9]]
    again = check_clip(clip, source())
    assert np.array_equal(again.present, clip.present)
    given[1] = False
    assert check_clip(Clip("c", 0, keypoint, present=given), source()).keypoint.shape[0] == 1
    with pytest.raises(InputError, match=r"clip 'c': presence .* \(2, 20, 24\) does not fit"):
        check_clip(Clip("c", 0, keypoint, present=given[..., 1:]), source())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_keypoints_of_all_types_and_layouts(dtype: type) -> None:
    keypoint = (walking(2) * 100).astype(dtype)
    keypoint.flags.writeable = False
    for view in (keypoint, keypoint[::-1], keypoint[:, ::2]):
        assert find_present(view, NTU, has_score=False).all()
    assert hidden_fraction(np.zeros((1, 4, 25), bool) | (np.arange(4) < 1)[:, None]) == 0.75


def test_blanked_joints_are_missing_everywhere(write: Write) -> None:
    rng = np.random.default_rng(0)
    keypoint = rng.uniform(200, 400, (1, 1, 17, 3)).repeat(10, axis=1).astype(np.float32)
    keypoint[..., 2] = 0.9
    keypoint[0, 4:7, 9] = (0, 0, 0.37)
    keypoint[0, 2, 3, 2] = 0
    dataset = SkeletonPickle(write(keypoint, size=(480, 640)), split="all")
    missing = np.argwhere(~dataset[0].present.numpy()).tolist()
    assert missing == [[3, 2], [9, 4], [9, 5], [9, 6]]
    found = missing_in(dataset)
    assert (found.joints[9], found.joints[3]) == pytest.approx((0.3, 0.1))
    streams = "joint-motion+bone-motion"
    x = standard_transform(COCO, stream=streams, clip_frames=10, train=False, has_score=True)(
        dataset[0]
    ).x
    assert not x[..., [0, 1, 3, 4]].any(), "nothing moves"


@pytest.mark.parametrize("joint", [0, 1, 20])
def test_training_sees_the_same_of_relative_and_absolute_poses(write: Write, joint: int) -> None:
    keypoint = walking(persons=2)
    inputs = []
    for content in (keypoint, relative(keypoint, joint)):
        dataset = SkeletonPickle(write(content), split="all")
        transform = standard_transform(
            NTU, stream="bone+bone-motion", clip_frames=20, train=False, has_score=False, scale=True
        )
        inputs.append(transform(dataset[0]).x)
    torch.testing.assert_close(*inputs, rtol=0, atol=1e-4)


def test_a_pre_transform_keeps_positions_at_the_origin(write: Write) -> None:
    keypoint = walking(persons=2)
    keypoint[1, :4] = 0
    keypoint[0, 9, 11] = 0
    dataset = SkeletonPickle(write(keypoint), split="all", pre_transform=PreNormalize3D(NTU))
    data = dataset[0]
    assert not data.x[SPINE_MID, 0].any() and data.present[SPINE_MID].all()
    assert data.present.logical_not().sum() == 4 * 25 + 1
    assert missing_in(dataset).joints[SPINE_MID] == 0


def keep_first(data: Data) -> Data:
    """A user's own transform, which knows nothing of presence."""
    data.x = data.x[:, :5]
    return data


def flatten(data: Data) -> Data:
    data.x = data.x.flatten(1)
    return data


def test_items_that_are_no_clips_any_more_have_no_presence(write: Write) -> None:
    dataset = SkeletonPickle(write(walking()), split="all", transform=flatten)
    assert "present" in SkeletonPickle(dataset.path, split="all")[0]
    assert "present" not in dataset[0]
    dataset.transform = lambda data: Data(speed=data.x.diff(dim=1))
    assert "present" not in dataset[0]


def test_items_of_other_transforms_can_be_batched(write: Write) -> None:
    clips = [walking(frames=frames) for frames in (5, 9, 20)]
    clips[1][0, 2, 8] = 0
    path = write(*clips)
    for options in ({"transform": keep_first}, {"pre_transform": keep_first}):
        dataset = SkeletonPickle(path, split="all", **options)
        batch = next(iter(DataLoader(dataset, batch_size=3)))
        assert batch.x.shape == (75, 5, 3)
        assert batch.present.logical_not().nonzero().tolist() == [[25 + 8, 2]]


def test_clips_that_lose_most_of_their_frames_are_reported(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    alone, gaps, relay = walking(), walking(2), walking(2)
    gaps[:, 4:] = 0
    relay[0, 9:] = relay[1, :12] = 0
    path = write(alone, gaps, relay, alone + 1)
    with caplog.at_level(logging.WARNING):
        dataset = SkeletonPickle(path, split="all")
    assert "in 2 of 4 clips the main person is missing in most of the frames" in caplog.text
    assert missing_in(dataset).main == pytest.approx((16 + 11) / 80)
    caplog.clear()
    flat = np.random.default_rng(0).uniform(10, 400, (1, 20, 17, 3)).astype(np.float32)
    flat[..., 2], flat[:, 3:] = 0.9, 0
    SkeletonPickle(write(flat, size=(480, 640)), split="all", force_reload=True)
    assert "main person" not in caplog.text, "nothing is dropped in 2-D"
