"""Clips a second of the loader alone, next to those of a training step of the smallest network.

    python benchmarks/loader.py
    python benchmarks/loader.py --data utd_mhad.pkl sbu.pkl --workers 0 1 2
    python benchmarks/loader.py --device cuda --workers 2

The recipe of small data: ST-GCN of width 16, 48 frames, 16 clips a step, random rotation and
scaling. "single clips" transforms each clip in the loader; "stored clips" only reads them and draws
the random numbers, for --device-transforms; "on the device" is the transform of such batches alone.
A loader that delivers fewer clips than the step takes makes it wait. Without --data: made-up clips
of the size of NTU RGB+D 120. Shown are medians over rounds, with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

import datasets as generated
from pyg_stgcn import create_model
from pyg_stgcn.datasets import SkeletonDataset, SkeletonPickle
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.runs.batches import batch_transform, clip_transform, input_batch, make_loader
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.transforms.batched import RawBatch

#: Generated clips: as many as fill a few hundred batches.
CLIPS = 4_000


def make_clips(root: Path, file: str | None) -> SkeletonDataset:
    """The clips of a file, or generated ones."""
    if file is not None:
        return SkeletonPickle(file, root=root, split="all")
    generated.CLIPS = CLIPS
    generated.make_source(root)
    return generated.Generated(root, split="all")


def options_for(name: str, *, device_transforms: bool) -> TrainOptions:
    """The options of a training on small data, complete."""
    options = TrainOptions.of(
        dataset=name, recipe="small", device_transforms=device_transforms, stream="joint"
    )
    return options.with_recipe(500, None)


def endless(dataset: SkeletonDataset, options: TrainOptions, workers: int) -> Iterator[Any]:
    """The batches of a loader, epoch after epoch."""
    assert options.optim.batch_size is not None
    loader = make_loader(
        dataset,
        options.optim.batch_size,
        0,
        shuffle=True,
        num_workers=workers,
        transform=batch_transform(options, dataset),
    )
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader


def clips_a_second(function: Callable[[], int], rounds: int, seconds: float) -> list[float]:
    """Clips a second in each round, after a warm-up; a call returns how many clips it handled."""
    found = []
    for turn in range(rounds + 1):
        clips, start = 0, time.perf_counter()
        while time.perf_counter() - start < (seconds if turn else seconds / 2):
            clips += function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(clips / (time.perf_counter() - start))
    return found[1:]


def make_step(
    dataset: SkeletonDataset, options: TrainOptions, batch: Any, device: str
) -> Callable[[], int]:
    """A training step of the smallest network on a batch."""
    assert options.model.channels is not None
    model = create_model(
        "stgcn",
        dataset.num_classes,
        dataset.skeleton,
        in_channels=dataset.num_channels,
        base_channels=options.model.channels,
    )
    assert isinstance(model, Backbone)
    model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    target = batch.y.clamp(min=0)

    def step() -> int:
        optimizer.zero_grad()
        cross_entropy(model(batch.x, batch.batch, batch.num_graphs), target).backward()
        optimizer.step()
        return len(target)

    return step


def show(what: str, values: Sequence[float]) -> float:
    """Print a line; returns the median."""
    median = statistics.median(values)
    print(f"{what:44} {median:8.0f} ({min(values):.0f} to {max(values):.0f}) clips/s", flush=True)
    return median


def compare(dataset: SkeletonDataset, name: str, arguments: argparse.Namespace) -> None:
    """Print the figures of one dataset."""
    device, rounds, seconds = arguments.device, arguments.rounds, arguments.seconds
    both = [options_for(name, device_transforms=on) for on in (False, True)]
    dataset.transform = clip_transform(both[0], dataset, train=True, num_views=1)
    transform = batch_transform(both[1], dataset)
    raw = next(endless(dataset, both[1], 0))
    batch = input_batch(raw, transform, device)
    needed = show(
        "training step", clips_a_second(make_step(dataset, both[0], batch, device), rounds, seconds)
    )

    def transform_once() -> int:
        return len(input_batch(raw, transform, device).y)

    show("transforms of a batch on the device", clips_a_second(transform_once, rounds, seconds))
    for workers in arguments.workers:
        for options, kind in zip(both, ("single clips", "stored clips"), strict=True):
            load = make_load(endless(dataset, options, workers))
            found = show(f"{kind}, {workers} workers", clips_a_second(load, rounds, seconds))
            print(f"{'':44} {found / needed:8.2f} times the training step")


def make_load(batches: Iterator[Any]) -> Callable[[], int]:
    """Loads a batch."""

    def load() -> int:
        batch = next(batches)
        return len(batch.label if isinstance(batch, RawBatch) else batch.y)

    return load


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", metavar="FILE.pkl", default=[None])
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the training step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of a round")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for file in arguments.data:
        with tempfile.TemporaryDirectory() as folder:
            dataset = make_clips(Path(folder), file)
            print(f"{file or 'generated'}: {len(dataset)} clips of {dataset.skeleton.name}")
            compare(dataset, str(file or "generated"), arguments)


if __name__ == "__main__":
    main()
