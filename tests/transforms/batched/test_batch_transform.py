"""Transforms of whole batches against those of single clips, with the same random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Batch
from torch_geometric.transforms import BaseTransform, Compose

from pyg_stgcn.datasets import Clip, SkeletonPickle
from pyg_stgcn.datasets.store.items import clip_to_data
from pyg_stgcn.errors import InputError
from pyg_stgcn.names import MODES
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.transforms import (
    DropScore,
    GaussianNoise,
    Interpolate,
    JointDropout,
    PadPersons,
    PreNormalize2D,
    PreNormalize3D,
    RandomMirror,
    RandomRotation,
    RandomScaling,
    RandomSpeed,
    TemporalCorruption,
    TemporalCrop,
    ToFractions,
    ToStream,
    UniformSample,
    standard_transform,
)
from pyg_stgcn.transforms.batched import BatchTransform, RawBatch
from pyg_stgcn.transforms.batched.batch_transform import MAX_ROWS, STEPS

NTU, COCO = get_skeleton("ntu25"), get_skeleton("coco17")
#: Persons and frames of the clips: shorter and longer than the sample.
SIZES = [(1, 40), (2, 9), (3, 25), (2, 17), (1, 1), (2, 60)]


def make_clip(number: int, skeleton: Skeleton, dtype: type = np.float32) -> Clip:
    """A clip that lacks joints, and frames of some persons; in the plane of COCO's joints."""
    rng = np.random.default_rng(number)
    persons, frames = SIZES[number % len(SIZES)]
    shape = persons, frames, skeleton.num_joints
    in_plane = skeleton is COCO
    keypoint = rng.normal(0, 1, (*shape, 3)) + rng.normal(0, 3, 3)
    if in_plane:
        keypoint = rng.random((*shape, 3)) * [200, 100, 1]
    present = rng.random(shape) > 0.2
    for person in range(persons):
        seen = rng.random(frames) > 0.3
        seen[rng.integers(frames)] = True
        present[person] &= seen[:, None]
    if number % len(SIZES) == 3:  # Several persons in equally many frames.
        present[:] = True
    return Clip(
        f"clip {number}",
        number % 5,
        (keypoint * present[..., None]).astype(dtype),
        (100.0, 200.0) if in_plane else None,
        present,
    )


def both_ways(
    clips: Sequence[Clip], skeleton: Skeleton, pipeline: Compose, seed: int = 0
) -> tuple[Batch, RawBatch, BatchTransform]:
    """The batch of single clips, and the clips before the transform of the batch."""
    transform = BatchTransform(pipeline)
    single, drawn = [], []
    for number, clip in enumerate(clips):
        torch.manual_seed(seed + number)
        single.append(pipeline(clip_to_data(clip, skeleton.edge_index())))
        torch.manual_seed(seed + number)
        drawn.append(transform.draw(clip))
    return Batch.from_data_list(single), transform.collate(drawn), transform


def check_equal(expected: Batch, found: Batch) -> None:
    scale = float(expected.x.abs().max())
    torch.testing.assert_close(found.x.cpu(), expected.x, rtol=1e-5, atol=1e-5 * max(scale, 1e-3))
    for name in ("y", "batch", "ptr"):
        assert torch.equal(found[name].cpu(), expected[name])
    assert found.num_graphs == expected.num_graphs


def standard(skeleton: Skeleton, **options) -> Compose:
    augmentations = [
        RandomMirror(skeleton),
        TemporalCrop(0.5),
        RandomSpeed(0.4),
        GaussianNoise(0.05),
        JointDropout(0.2, seed=None),
        TemporalCorruption(0.3, seed=None),
    ]
    in_plane = skeleton is COCO
    options = {"scale": not in_plane, "rotation": 0.5, "scaling": 0.2} | options
    if options.pop("augment", False):
        options["extra"] = augmentations
    return standard_transform(skeleton, clip_frames=16, has_score=in_plane, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"stream": "joint", "train": True},
        {"stream": "joint+bone+joint-motion+bone-motion", "train": True, "augment": True},
        {"stream": "bone-motion", "train": True, "augment": True, "num_persons": 2},
        {"stream": "joint-motion", "train": False, "num_views": 3},
        {"stream": "bone", "train": False, "num_persons": 2},
    ],
)
@pytest.mark.parametrize("skeleton", [NTU, COCO], ids=["space", "plane"])
def test_equals_the_transforms_of_single_clips(skeleton: Skeleton, options: dict) -> None:
    pipeline = standard(skeleton, **options)
    clips = [make_clip(number, skeleton) for number in range(2 * len(SIZES))]
    expected, raw, transform = both_ways(clips, skeleton, pipeline)
    check_equal(expected, transform(raw))
    check_equal(expected, transform(raw))  # The stored clips have not been changed.


@pytest.mark.parametrize(
    "options", [{"use_score": False}, {"fractions": True}, {"use_score": False, "fractions": True}]
)
def test_other_inputs_of_joints_in_the_plane(options: dict) -> None:
    pipeline = standard(COCO, stream="bone-motion", train=True, augment=True, **options)
    clips = [make_clip(number, COCO, np.float16) for number in range(6)]
    expected, raw, transform = both_ways(clips, COCO, pipeline)
    check_equal(expected, transform(raw))


#: Every transform alone, in space and in the plane.
ALONE: dict[str, list[BaseTransform]] = {
    "space": [
        *(
            PreNormalize3D(NTU, align_spine=spine, align_center=center, scale=scale)
            for spine, center, scale in [
                (False, False, False),
                (False, True, True),
                (True, False, 0),
            ]
        ),
        RandomScaling([0.1, 0.2, 0.3]),
        RandomRotation(3.0),
        RandomMirror(NTU, 1.0),
        TemporalCrop(0.1),
        RandomSpeed(0.9),
        GaussianNoise(0.1),
        JointDropout(0.5, seed=1),
        *(TemporalCorruption(0.6, mode, seed=2) for mode in MODES),
        Interpolate(),
        *(ToStream(stream, NTU) for stream in ("joint", "bone", "joint-motion", "bone-motion")),
        *(PadPersons(persons) for persons in (1, 2, 4)),
    ],
    "plane": [PreNormalize2D(), RandomRotation(3.0), DropScore(), ToFractions(), Interpolate()],
}


@pytest.mark.parametrize(
    ("where", "step"), [(where, step) for where, steps in ALONE.items() for step in steps], ids=str
)
def test_every_transform_alone(where: str, step: BaseTransform) -> None:
    skeleton = NTU if where == "space" else COCO
    sample = UniformSample(20, num_views=2)
    order = [sample, step] if isinstance(step, PadPersons) else [step, sample]
    clips = [make_clip(number, skeleton) for number in range(6)]
    expected, raw, transform = both_ways(clips, skeleton, Compose(order))
    check_equal(expected, transform(raw))


def test_all_transforms_for_batches_are_tested() -> None:
    tested = {type(step) for steps in ALONE.values() for step in steps} | {UniformSample}
    assert tested == set(STEPS)


def test_a_clip_in_which_nobody_appears() -> None:
    clip = make_clip(3, NTU)
    assert clip.present is not None
    empty = Clip("empty", 0, clip.keypoint, None, np.zeros_like(clip.present))
    pipeline = standard(NTU, stream="joint", train=False)
    expected, raw, transform = both_ways([make_clip(0, NTU), empty, clip], NTU, pipeline)
    check_equal(expected, transform(raw))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = standard(NTU, stream="bone-motion", train=True, augment=True)
    clips = [make_clip(number, NTU) for number in range(12)]
    expected, raw, transform = both_ways(clips, NTU, pipeline)
    assert sum(len(part.stored.keypoint) for part in raw.parts) < MAX_ROWS
    monkeypatch.setattr("pyg_stgcn.transforms.batched.batch_transform.MAX_ROWS", 130)
    _, parts, _ = both_ways(clips, NTU, pipeline)
    assert len(raw.parts) == 1 and len(parts.parts) > 3
    assert all(len(part.stored.keypoint) <= 130 for part in parts.parts)
    check_equal(expected, transform(parts))


@pytest.mark.parametrize("skeleton", [NTU, COCO], ids=["space", "plane"])
def test_shapes_do_not_depend_on_numbers_on_the_device(skeleton: Skeleton) -> None:
    # The "meta" device has no numbers: asking it for one, as a synchronisation would, is an error.
    pipeline = standard(skeleton, stream="joint+bone-motion", train=True, augment=True)
    clips = [make_clip(number, skeleton) for number in range(6)]
    expected, raw, transform = both_ways(clips, skeleton, pipeline)
    found = transform(raw.to("meta"))
    assert found.x.shape == expected.x.shape
    assert found.x.is_meta


class Operators(TorchDispatchMode):
    """Counts the operators that are dispatched, views aside: a GPU launches a kernel for each."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        views = [
            part.alias_info is not None and not part.alias_info.is_write
            for part in func._schema.returns
        ]
        self.count += not any(views)
        return func(*args, **(kwargs or {}))


def test_few_operators_run_on_the_device() -> None:
    pipeline = standard(NTU, stream="joint", train=True)
    _, raw, transform = both_ways([make_clip(number, NTU) for number in range(6)], NTU, pipeline)
    with Operators() as operators:
        transform(raw)
    assert operators.count <= 50


@pytest.mark.parametrize("file", ["sbu/sbu.pkl", "pyskl/mini_ucf101.pkl"])
def test_genuine_clips(shared_data: Path, tmp_path: Path, file: str) -> None:
    path = shared_data / "data" / file
    if not path.exists():
        pytest.skip(f"{path} is not there")
    dataset = SkeletonPickle(path, root=tmp_path, split="all")
    clips = [dataset.clip(number) for number in range(0, min(len(dataset), 96), 4)]
    for train in (True, False):
        pipeline = standard_transform(
            dataset.skeleton,
            stream="joint+bone-motion",
            clip_frames=48,
            train=train,
            has_score=dataset.has_score,
            scaling=0.1,
            scale=not dataset.has_score,
        )
        expected, raw, transform = both_ways(clips, dataset.skeleton, pipeline)
        check_equal(expected, transform(raw))


def test_transforms_of_single_clips_only() -> None:
    class Shift(BaseTransform):
        def forward(self, data):
            return data

    with pytest.raises(InputError, match="Shift: works on single clips only"):
        BatchTransform(Compose([Shift(), UniformSample(8)]))
    for order in (
        [ToStream("bone", NTU), RandomRotation(), UniformSample(8)],
        [UniformSample(8), ToStream("bone", NTU)],
        [PadPersons(2), UniformSample(8)],
        [PreNormalize3D(NTU), ToStream("bone", NTU)],
        [RandomRotation(), PreNormalize3D(NTU), UniformSample(8)],
    ):
        with pytest.raises(InputError, match="starts with a normalisation, if at all"):
            BatchTransform(Compose(order))
    with pytest.raises(InputError, match="mode 'auto' works on single clips only"):
        BatchTransform(Compose([PreNormalize2D(mode="auto"), UniformSample(8)]))


def test_clips_that_do_not_fit() -> None:
    transform = BatchTransform(standard(NTU, stream="joint", train=True))
    with pytest.raises(InputError, match="clip 0: 17 joints with 3 coordinates are not those of"):
        transform.draw(make_clip(0, COCO))
    clip = make_clip(0, NTU)
    assert clip.present is not None
    short = Clip("short", 0, clip.keypoint[:, :0], None, clip.present[:, :0])
    with pytest.raises(InputError, match="short: the clip has no frames"):
        BatchTransform(Compose([UniformSample(8)])).draw(short)


@pytest.mark.cuda
@pytest.mark.parametrize("skeleton", [NTU, COCO], ids=["space", "plane"])
def test_on_a_gpu_without_synchronisation(skeleton: Skeleton) -> None:
    pipeline = standard(skeleton, stream="joint+bone-motion", train=True, augment=True)
    clips = [make_clip(number, skeleton) for number in range(12)]
    expected, raw, transform = both_ways(clips, skeleton, pipeline)
    check_equal(expected, transform(raw.to("cuda")))  # Copies the constants.
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = transform(raw.pin_memory().to("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    check_equal(expected, found)
