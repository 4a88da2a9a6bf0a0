from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import SkeletonArrays, SkeletonDataset
from pyg_stgcn.datasets.readers.image_check import ImageCheck
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError

WIDTH_HEIGHT = np.array([640, 480])
HEIGHT_WIDTH = (480, 640)


def walk(seed: int, low: float = 0.15, high: float = 0.85) -> np.ndarray:
    """A person somewhere in the image, in pixels."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(-60, 60, (1, 1, 17, 2))
    return rng.uniform(low, high, 2) * WIDTH_HEIGHT + body + rng.normal(size=(1, 8, 17, 2))


def read(root: Path, clips: list[np.ndarray], size: Any = HEIGHT_WIDTH) -> SkeletonDataset:
    sizes = [size] * len(clips)
    return SkeletonArrays(root, clips, [0] * len(clips), "coco17", image_sizes=sizes)


@pytest.mark.parametrize(
    ("change", "size", "message"),
    [
        (lambda x: x / WIDTH_HEIGHT, HEIGHT_WIDTH, r"multiply x by its width and y by its height"),
        (lambda x: x / WIDTH_HEIGHT - 0.5, HEIGHT_WIDTH, r"centre of the image, use x \+ 0.5"),
        (lambda x: 2 * x / WIDTH_HEIGHT - 1, HEIGHT_WIDTH, r"or \(x \+ 1\) / 2 and .* multiply"),
        (lambda x: (x - x.mean((1, 2))) / 40, HEIGHT_WIDTH, r"give them in pixels"),
        (lambda x: x, (1, 1), r"set img_shape to the \(height, width\) .*, or divide x"),
        (lambda x: x / WIDTH_HEIGHT - 0.5, (1, 1), r"centre of the image, use x \+ 0.5"),
        (lambda x: 2 * x / WIDTH_HEIGHT - 1, (1, 1), r"centre of the image, use x \+ 0.5"),
        (lambda x: x - WIDTH_HEIGHT / 2, HEIGHT_WIDTH, r"add half of its width to x and half"),
        (lambda x: x, (640, 480), r"height and width seem to be swapped"),
        (lambda x: 3 * x, HEIGHT_WIDTH, r"pixels of a video of another size"),
    ],
)
def test_coordinates_that_do_not_fit_the_size_are_refused_with_a_remedy(
    tmp_path: Path, change: Any, size: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, [change(walk(seed)) for seed in range(30)], size)
    assert len(str(caught.value)) < 400
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("portrait", [False, True])
def test_pixels_and_fractions_that_fit_are_taken(
    tmp_path: Path, portrait: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clips = [walk(seed) for seed in range(30)]
    size = HEIGHT_WIDTH
    if portrait:
        clips, size = [clip[..., ::-1] for clip in clips], (640, 480)
    assert len(read(tmp_path / "pixels", clips, size)) == 30
    fractions = [clip / size[::-1] for clip in clips]
    assert len(read(tmp_path / "fractions", fractions, (1, 1))) == 30
    assert caplog.text == ""


def test_persons_at_the_edge_of_the_image_are_taken(tmp_path: Path) -> None:
    """Few clips in a corner and few joints outside say nothing about all clips."""
    clips = [walk(seed) for seed in range(27)] + [walk(seed, 0.0, 0.02) for seed in range(27, 30)]
    assert len(read(tmp_path, clips)) == 30


def test_guessed_legs_below_the_image_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A person who sits before the camera, with a third of the joints below the image."""
    clips = [walk(seed, 0.4, 0.6) for seed in range(30)]
    for clip in clips:
        clip[..., 12:, 1] = 560
    assert len(read(tmp_path, clips)) == 30
    assert "if height and width are swapped, correct them" in caplog.text


def test_joints_outside_count_as_little_as_their_scores(tmp_path: Path) -> None:
    clips = [walk(seed) for seed in range(30)]
    for clip in clips:
        clip[..., 5:, 0] = 900
    score = np.ones(clips[0].shape[:3])
    score[..., 5:] = 0.01
    sizes = [HEIGHT_WIDTH] * 30
    SkeletonArrays(tmp_path, clips, [0] * 30, "coco17", image_sizes=sizes, scores=[score] * 30)


def test_a_clip_in_other_units_than_the_rest_is_left_out(tmp_path: Path) -> None:
    clips = [walk(seed) for seed in range(6)]
    clips[2] = clips[2] / WIDTH_HEIGHT
    dataset = read(tmp_path / "pixels", clips)
    assert list(dataset.skipped) == ["clip2"]
    assert "multiply x by its width" in dataset.skipped["clip2"]
    clips = [clip / WIDTH_HEIGHT for clip in clips]
    clips[2] = walk(2)
    dataset = read(tmp_path / "fractions", clips, (1, 1))
    assert list(dataset.skipped) == ["clip2"]
    assert "or divide x by its width" in dataset.skipped["clip2"]


def test_single_clips_of_published_data_are_taken_as_they_are() -> None:
    check = ImageCheck(own=False)
    for seed in range(6):
        keypoint = np.concatenate([walk(seed), np.ones((1, 8, 17, 1))], -1)
        keypoint[..., :2] /= WIDTH_HEIGHT if seed < 3 else 1
        check.add(Clip("c", 0, keypoint, HEIGHT_WIDTH))
    check.finish("published")
    check.add(Clip("c", 0, keypoint / 640, HEIGHT_WIDTH))
    with pytest.raises(InputError, match="multiply x by its width"):
        check.finish("published")


def test_genuine_kinetics_skeletons_lie_in_their_images(shared_data: Path) -> None:
    check = ImageCheck(own=True)
    for file in (shared_data / "data/kinetics_skeleton").glob("*.json"):
        persons = [p for f in json.loads(file.read_text())["data"] for p in f["skeleton"]]
        pose = np.array([p["pose"] for p in persons]).reshape(1, -1, 18, 2)
        score = np.array([p["score"] for p in persons]).reshape(1, -1, 18, 1)
        check.add(Clip(file.stem, 0, np.concatenate([pose, score], -1), (1.0, 1.0)))
    check.finish("kinetics")
