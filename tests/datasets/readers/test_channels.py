"""The same arrays mean the same in a pickle and in memory."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_stgcn.datasets import SkeletonArrays, SkeletonDataset, SkeletonPickle
from pyg_stgcn.datasets.readers.channels import RawClip, Terms, interpret
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import standard_transform

SIZE = (240, 320)
Reader = Callable[..., SkeletonDataset]


def from_pickle(root: Path, clips: list[np.ndarray], **fields: Any) -> SkeletonDataset:
    names = {"scores": "keypoint_score", "image_sizes": "img_shape"}
    annotations = [
        {
            "frame_dir": f"clip{i}",
            "label": 0,
            "keypoint": clip,
            **{names[key]: values[i] for key, values in fields.items() if values[i] is not None},
        }
        for i, clip in enumerate(clips)
    ]
    path = root / "own.pkl"
    path.write_bytes(pickle.dumps(annotations))
    return SkeletonPickle(path, skeleton="coco17", split="all")


def from_arrays(root: Path, clips: list[np.ndarray], **fields: Any) -> SkeletonDataset:
    return SkeletonArrays(root, clips, [0] * len(clips), "coco17", **fields)


@pytest.fixture(params=[from_pickle, from_arrays])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    return lambda *args, **fields: request.param(tmp_path, *args, **fields)


def uniform(low: float, high: float, channels: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (2, 6, 17, channels)).astype(np.float32)


def stored(dataset: SkeletonDataset, i: int = 0) -> np.ndarray:
    """The array [M, T, V, C] of an item."""
    data = dataset[i]
    return data.x.view(data.num_persons, 17, *data.x.shape[1:]).transpose(1, 2).numpy()


def test_2d_with_the_score_as_a_channel_or_an_array_or_without(read: Reader) -> None:
    xy, score = uniform(20, 200, 2), uniform(0.1, 1, 1)
    xy[1, 2, 3] = 0
    together = np.concatenate([xy, score], -1)
    for clip, fields, expected in (
        (together, {}, score[..., 0]),
        (xy, {"scores": [score[..., 0]]}, score[..., 0]),
        (xy, {}, xy.any(-1)),
    ):
        dataset = read([clip], image_sizes=[SIZE], **fields)
        assert (dataset.has_score, dataset.num_channels) == (True, 3)
        assert np.array_equal(stored(dataset)[..., :2], xy)
        assert np.array_equal(stored(dataset)[..., 2], expected)
        assert dataset[0].image_size.tolist() == [list(SIZE)]


def test_3d_joints_without_a_confidence_are_kept_as_they_are(read: Reader) -> None:
    xyz = uniform(-1, 1, 3)
    dataset = read([xyz])
    assert (dataset.has_score, dataset.num_channels) == (False, 3)
    assert np.array_equal(stored(dataset), xyz)


@pytest.mark.parametrize("together", [False, True])
def test_3d_joints_that_are_not_tracked_are_missing(
    read: Reader, together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    xyz = uniform(-1, 1, 3)
    xyz[0, 0, 5] = 0  # A tracked joint at the origin.
    state = np.random.default_rng(1).integers(0, 3, xyz.shape[:3])
    state[0, 0, 5] = 2
    xyz[1, 1, 7], state[1, 1, 7] = np.nan, 0
    if together:
        dataset = read([np.concatenate([xyz, state[..., None]], -1)])
    else:
        dataset = read([xyz], scores=[state])
    assert (dataset.has_score, dataset.num_channels) == (False, 3)
    assert np.array_equal(stored(dataset), np.where(state[..., None] > 0, xyz, 0))
    missing = 100 * (state == 0).mean()
    assert f"with a confidence of 0, {missing:.2f} % of all, count as missing" in caplog.text


def test_the_confidence_decides_which_joints_are_present() -> None:
    xyz = uniform(-1, 1, 3)
    xyz[1, :4] = 0  # A person who is not there.
    xyz[0, 0, 5] = 0  # A tracked joint at the origin.
    state = np.random.default_rng(1).integers(0, 3, xyz.shape[:3])
    state[0, 0, 5] = 2
    raw = RawClip("a", 0, xyz, where="clip 'a'", score=state)
    (clip,) = interpret([raw], Terms("keypoint", "score", "size"), "own").clips
    assert isinstance(clip, Clip) and clip.present is not None
    assert np.array_equal(clip.present, (state > 0) & xyz.any(axis=(2, 3))[..., None])
    assert clip.present[0, 0, 5]


def test_the_confidence_of_a_person_who_is_not_there_is_ignored(read: Reader) -> None:
    xyz = uniform(-1, 1, 3)
    xyz[1, :4] = 0
    dataset = read([xyz], scores=[np.ones(xyz.shape[:3])])
    assert np.array_equal(stored(dataset), xyz)


@pytest.mark.parametrize("channels", [2, 3])
def test_scores_that_are_all_zero_are_ignored_with_a_warning(
    read: Reader, channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    clip = uniform(20, 200, channels)
    zeros = [np.zeros(clip.shape[:3])]
    sizes = {"image_sizes": [SIZE]} if channels == 2 else {}
    dataset = read([clip], scores=zeros, **sizes)
    assert np.array_equal(stored(dataset)[..., :channels], clip)
    assert "all scores (" in caplog.text and "are 0" in caplog.text
    if channels == 2:
        assert (stored(dataset)[..., 2] == 1).all()


@pytest.mark.parametrize("channels", [2, 3])
def test_a_clip_with_zeros_as_scores_among_others_is_left_out(
    read: Reader, channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    clips = [uniform(20, 200, channels, seed) for seed in range(3)]
    scores = [np.full(clip.shape[:3], float(i != 1)) for i, clip in enumerate(clips)]
    sizes = {"image_sizes": [SIZE] * 3} if channels == 2 else {}
    dataset = read(clips, scores=scores, **sizes)
    assert list(dataset.skipped) == ["clip1"]
    assert "other clips do" in dataset.skipped["clip1"]


def test_2d_without_the_size_of_the_image_is_refused(read: Reader, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 2-D joints .* add (img_shape|image_sizes) to all"):
        read([uniform(20, 200, 2)] * 3)
    assert not list(tmp_path.rglob("*.npy"))


def test_an_image_size_that_only_one_clip_lacks_makes_that_clip_bad(read: Reader) -> None:
    clips = [uniform(20, 200, 3 if i else 2, seed=i) / (1, 1, 200)[: 3 if i else 2] for i in (0, 1)]
    clips.append(clips[0] + 1)
    dataset = read(clips, image_sizes=[SIZE, None, SIZE])
    assert list(dataset.skipped) == ["clip1"]
    assert "other clips have one" in dataset.skipped["clip1"]


def test_an_image_size_that_only_one_clip_has_makes_that_clip_bad(read: Reader) -> None:
    dataset = read([uniform(0, 1, 3, i) for i in range(3)], image_sizes=[None, (9, 9), None])
    assert not dataset.has_score
    assert list(dataset.skipped) == ["clip1"]
    assert "most clips have none" in dataset.skipped["clip1"]


@pytest.mark.parametrize(
    ("clip", "fields", "message"),
    [
        (uniform(0.1, 1, 3), {"scores": 1, "image_sizes": SIZE}, r"3 channels, .* leave one of"),
        (uniform(0.1, 1, 4), {"scores": 1}, r"has 4 channels, .* leave one of them out"),
        (uniform(20, 99, 4), {"image_sizes": SIZE}, r"has 4 channels; with .* must have x, y and"),
        (uniform(-9, 200, 3), {"image_sizes": SIZE}, r"values from .* in channel 3, which with"),
        (uniform(-9, 200, 4), {}, r"values from .* in channel 4, .*; remove the channel"),
        (np.full((2, 6, 17, 4), np.inf), {}, r"has 204 scores \(channel 4, .*NaN or infinite"),
        (uniform(0.1, 1, 3), {"scores": np.full((2, 6, 17), np.nan)}, r"204 scores .*NaN"),
        (uniform(0.1, 1, 3), {"scores": np.ones((2, 6, 16))}, r"of shape \(2, 6, 16\) for joints"),
        (uniform(0.1, 1, 1), {}, r"has 1 channels"),
        (uniform(0.1, 1, 5), {}, r"has 5 channels"),
    ],
)
def test_channels_without_a_meaning(
    read: Reader, clip: np.ndarray, fields: dict[str, Any], message: str
) -> None:
    fields = {
        name: [np.ones(clip.shape[:3])] if isinstance(value, int) else [value]
        for name, value in fields.items()
    }
    with pytest.raises(InputError, match=message) as caught:
        read([clip], **fields)
    assert len(str(caught.value)) < 400


def test_nothing_is_said_of_good_data(read: Reader, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read([uniform(20, 200, 2)], image_sizes=[SIZE], scores=[uniform(0.1, 1, 1)[..., 0]])
    assert caplog.text == ""


def test_a_clip_may_lack_scores(read: Reader) -> None:
    xy, score = uniform(20, 200, 2), uniform(0.1, 1, 1)[..., 0]
    dataset = read([xy, xy], image_sizes=[SIZE, SIZE], scores=[score, None])
    assert np.array_equal(stored(dataset, 0)[..., 2], score)
    assert (stored(dataset, 1)[..., 2] == 1).all()


@pytest.mark.parametrize(("channels", "sizes"), [(2, {"image_sizes": [SIZE]}), (3, {})])
def test_numbers_that_cannot_be_scores_are_refused(read: Reader, channels: int, sizes: Any) -> None:
    score = uniform(-1, 1, 1)[..., 0]
    with pytest.raises(InputError, match=r"from -\S+ to \S+ in (keypoint_)?scores?, but scores"):
        read([uniform(20, 200, channels)], scores=[score], **sizes)


def test_2d_joints_with_a_score_and_no_image_size_are_warned_of(
    read: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    clip = np.concatenate([uniform(20, 200, 2), uniform(0, 1, 1)], -1)
    assert not read([clip, clip + np.float32(0.01)]).has_score
    assert "if it is one, the joints are 2-D: add im" in caplog.text


@pytest.mark.parametrize("together", [False, True])
def test_a_confidence_in_3d_reaches_the_items_and_the_input_of_the_model(
    read: Reader, together: bool
) -> None:
    xyz = uniform(-1, 1, 3)
    tracked = np.random.default_rng(1).random(xyz.shape[:3]) > 0.2
    nodes = torch.from_numpy(tracked).transpose(1, 2).reshape(-1, xyz.shape[1])
    transform = standard_transform(
        get_skeleton("coco17"), stream="joint", clip_frames=6, train=False, has_score=False
    )
    inputs = []
    for guess in (0.3, 0.7):
        clip = np.where(tracked[..., None], xyz, np.float32(guess))
        if together:
            dataset = read([np.concatenate([clip, tracked[..., None]], -1)])
        else:
            dataset = read([clip], scores=[tracked.astype(np.float32)])
        assert torch.equal(dataset[0].present, nodes)
        item = transform(dataset[0])
        assert torch.equal(item.present, nodes)
        inputs.append(item.x)
    first, second = inputs
    assert torch.equal(first, second)
    assert not first[~nodes].any()
