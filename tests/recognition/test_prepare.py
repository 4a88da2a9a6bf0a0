"""Preparation with NumPy equals the transforms of training and evaluation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.reading import ClipSource
from pyg_stgcn.datasets.readers.reading import check_clip as check_stored
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.datasets.store.items import clip_to_data
from pyg_stgcn.errors import InputError
from pyg_stgcn.names import count_channels
from pyg_stgcn.recognition.description import save_prepare
from pyg_stgcn.recognition.prepare import ClipError, prepare
from pyg_stgcn.skeletons import get_skeleton, list_skeletons
from pyg_stgcn.transforms import standard_transform

STREAMS = ("joint", "bone", "joint-motion", "bone-motion", "joint+bone", "bone-motion+joint")
IMAGE = (480, 640)


def random_clip(rng: np.random.Generator, joints: int, planar: bool) -> NDArray[Any]:
    """A clip with missing joints, frames and persons; some are relative to a joint."""
    persons, frames = int(rng.integers(1, 4)), int(rng.choice([1, 5, 11, 12, 13, 20, 24, 25, 60]))
    x = rng.normal(size=(persons, frames, joints, 3)).cumsum(1) * 0.1
    x += rng.normal(size=(persons, 1, joints, 3))
    if planar:
        x[..., :2] = x[..., :2] * 100 + 400
        x[..., 2] = rng.choice([0, 0.005, 0.3, 0.9, 1], size=x.shape[:3])
    elif rng.random() < 0.4:
        first = x[:, : 1 if rng.random() < 0.5 else frames, rng.integers(0, joints), None]
        x -= first
    for shape in ((persons, frames), (persons, frames, joints), (persons,)):
        if rng.random() < 0.5:
            x[rng.random(shape) < 0.2] = 0
    if planar and rng.random() < 0.2:
        x[..., 2] = 0
    return x.astype(rng.choice(["float16", "float32", "float64"]))


def about_of(skeleton: str, **options: Any) -> dict[str, Any]:
    steps = {"stream": "joint", "clip_frames": 12, "has_score": False, **options}
    return {"skeleton": get_skeleton(skeleton).to_dict(), "preprocessing": steps}


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("name", list_skeletons())
def test_equals_the_transforms(name: str, planar: bool) -> None:
    rng = np.random.default_rng([*name.encode(), planar])
    skeleton = get_skeleton(name)
    source = ClipSource(skeleton, ["a"], {}, [], has_score=planar)
    size = IMAGE if planar else None
    for stream in 2 * STREAMS:
        options: dict[str, Any] = {"stream": stream, "clip_frames": 12, "has_score": planar}
        options["scale"] = bool(rng.random() < 0.5)
        options["num_persons"] = int(rng.integers(1, 4)) if rng.random() < 0.5 else None
        options["align_spine"] = False if rng.random() < 0.3 else None
        if planar:
            options["use_score"] = bool(rng.random() < 0.5)
            options["fractions"] = bool(rng.random() < 0.5)
        channels = count_channels(stream, options.get("use_score", True))
        views = int(rng.integers(1, 4))
        clip = random_clip(rng, skeleton.num_joints, planar)
        x, batch = prepare(clip, about_of(name, **options), num_views=views, image_size=size)
        try:
            stored = check_stored(Clip("clip", 0, clip, size), source)
        except InputError as error:
            assert "is empty" in str(error) and x.shape == (0, 12, channels)
            continue
        data = clip_to_data(stored, skeleton.edge_index())
        transform = standard_transform(skeleton, train=False, num_views=views, **options)
        expected = torch.cat(transform(data).x.chunk(views, dim=1)).numpy()
        if planar:  # In space, sums are in another order.
            np.testing.assert_array_equal(x, expected)
        np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-6)
        assert batch.tolist() == np.repeat(range(views), len(x) // views).tolist()


def test_arrays_of_other_kinds() -> None:
    about = about_of("coco17", has_score=True)
    clip = np.random.default_rng(0).integers(100, 400, (1, 20, 17, 3))
    clip[..., 2] = 1
    expected, _ = prepare(clip.astype(np.float32), about, image_size=IMAGE)
    for other in (clip, clip[0], clip[..., :2], clip.astype(np.uint16), clip.tolist()):
        np.testing.assert_array_equal(prepare(other, about, image_size=IMAGE)[0], expected)


def test_a_confidence_in_space_marks_missing_joints() -> None:
    about = about_of("ntu25", stream="bone")
    clip = np.random.default_rng(0).normal(size=(1, 20, 25, 4)).astype(np.float32)
    clip[..., 3] = 2
    clip[0, 3:9, 4] = np.nan, np.nan, np.nan, 0
    zeros = np.nan_to_num(clip[..., :3])
    np.testing.assert_array_equal(prepare(clip, about)[0], prepare(zeros, about)[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_joint_that_is_no_number_is_named(value: float) -> None:
    clip = np.random.default_rng(0).normal(size=(2, 20, 25, 3))
    clip[1, 7, 3, 2] = value
    with pytest.raises(
        ClipError, match=r"person 1, frame 7, joint 3 \(head\): a joint that is NaN"
    ):
        prepare(clip, about_of("ntu25"))


@pytest.mark.parametrize(
    ("shape", "planar", "message"),
    [
        ((1, 20, 17, 3), False, r"not \[persons, frames, 25 joints, 3 or 4 channels\]"),
        ((1, 20, 25, 2), False, "x, y, z and perhaps a confidence"),
        ((1, 20, 25, 4), True, "x, y and perhaps a score"),
        ((20, 25), False, r"not numbers \[persons, frames, joints, channels\]"),
        ((1, 1, 20, 25, 3), False, "not numbers"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], planar: bool, message: str) -> None:
    about = about_of("ntu25", has_score=planar)
    with pytest.raises(ClipError, match=message):
        prepare(np.ones(shape), about, image_size=IMAGE if planar else None)


def test_sizes_of_images() -> None:
    clip, about = np.full((1, 20, 17, 3), 0.5), about_of("coco17", has_score=True)
    clip[..., 0] += np.arange(17) / 100
    for size in (None, (0, 640), (480, np.inf)):
        with pytest.raises(ClipError, match="give image_size="):
            prepare(clip, about, image_size=size)
    with pytest.raises(ClipError, match="corner of an image"):
        prepare(clip, about, image_size=IMAGE)
    in_pixels = clip * [640, 480, 1]
    np.testing.assert_allclose(
        prepare(clip, about, image_size=(1, 1))[0],
        prepare(in_pixels, about, image_size=IMAGE)[0],
        atol=1e-6,
    )
    with pytest.raises(ClipError, match="image_size is given, but the model reads 3-D"):
        prepare(np.ones((1, 20, 25, 3)), about_of("ntu25"), image_size=IMAGE)


def statistics_of(clips: list[NDArray[Any]], about: dict[str, Any], **options: Any) -> Any:
    inputs = [prepare(clip, about, **options)[0].swapaxes(1, 2) for clip in clips]
    joints = len(about["skeleton"]["joints"])
    rows = np.concatenate([x.reshape(-1, joints, *x.shape[1:]) for x in inputs]).swapaxes(1, 3)
    rows = rows.reshape(-1, rows.shape[2], joints).swapaxes(1, 2)
    return {"mean": rows.mean(0).tolist(), "std": (rows.std(0) + 3e-3).tolist()}


@pytest.mark.parametrize(("factor", "message"), [(1000, "standard deviations"), (1e-3, "smaller")])
def test_other_units_than_in_the_training(factor: float, message: str) -> None:
    rng, about = np.random.default_rng(0), about_of("ntu25")
    body = rng.normal(size=(1, 1, 25, 3))
    clips = [body + rng.normal(0, 0.2, (1, 30, 25, 3)) for _ in range(4)]
    about["statistics"] = statistics_of(clips, about)
    prepare(clips[0] * 3, about)
    with pytest.raises(ClipError, match=message):
        prepare(clips[0] * factor, about)


def test_scores_in_percent() -> None:
    rng, about = np.random.default_rng(0), about_of("coco17", has_score=True)
    clips = [rng.uniform([100, 100, 0.5], [500, 400, 1], (1, 30, 17, 3)) for _ in range(4)]
    about["statistics"] = statistics_of(clips, about, image_size=IMAGE)
    prepare(clips[0], about, image_size=IMAGE)
    with pytest.raises(ClipError, match=r"channel 2 is .* standard deviations"):
        prepare(clips[0] * [1, 1, 100], about, image_size=IMAGE)


def test_the_copy_needs_numpy_only(tmp_path: Path) -> None:
    assert save_prepare(tmp_path) == tmp_path / "pyg_stgcn_prepare.py"
    code = (
        "import sys, pyg_stgcn_prepare as p; p.sample_frames(30, 12); "
        "sys.exit(str({'torch', 'pyg_stgcn'} & set(sys.modules) or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr.strip() == "" and done.returncode in (0, 1)
    imports = (tmp_path / "pyg_stgcn_prepare.py").read_text().splitlines()
    found = {
        line.split()[1].split(".")[0] for line in imports if line.startswith(("import", "from"))
    }
    assert found <= {"__future__", "math", "collections", "typing", "numpy"}


def test_other_descriptions() -> None:
    with pytest.raises(ClipError, match="stream 'bonne'"):
        prepare(np.ones((1, 20, 25, 3)), about_of("ntu25", stream="bonne"))
    with pytest.raises(ClipError, match="version 2"):
        prepare(np.ones((1, 20, 25, 3)), {**about_of("ntu25"), "version": 2})
