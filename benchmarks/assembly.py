"""Memory of an assembly's training step against four separate trainings side by side.

    python benchmarks/assembly.py --model dgstgcn --channels 16 --frames 48 --clips 16

One process trains all experts jointly; four processes train one expert each. All are fresh, take
three steps on the same noise, one person a clip, and report their peak memory (Linux only): in
total, and without the imports.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch.nn.functional import cross_entropy
from train_step import resident

from pyg_stgcn.models import Assembly, Backbone, create_model, random_clips
from pyg_stgcn.sparsity import ControllerGroup, sparsify

LEVELS = (0.6, 0.8, 0.95, 0.99)
CLASSES, SKELETON = 60, "ntu25"


def train(levels: Sequence[float], options: argparse.Namespace, result: Any) -> None:
    """Take three steps, and put the total memory and that of the training into the queue."""
    torch.set_num_threads(1)
    start = resident()
    experts = [
        cast(
            Backbone,
            create_model(options.model, CLASSES, SKELETON, base_channels=options.channels),
        )
        for _ in levels
    ]
    group = ControllerGroup(
        [
            sparsify(expert, level, exclude="head.*")
            for expert, level in zip(experts, levels, strict=True)
        ]
    )
    model = Assembly(experts)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    clips = random_clips(experts[0], options.clips, 1, options.frames)
    target = torch.zeros(options.clips, dtype=torch.long)
    for _ in range(3):
        optimizer.zero_grad()
        shared, auxiliary = model.forward_all(*clips)
        sum(cross_entropy(logits, target) for logits in (shared, *auxiliary)).backward()
        optimizer.step()
        group.step(optimizer)
    result.put((resident(), resident() - start))


def measure(trainings: Sequence[Sequence[float]], options: argparse.Namespace) -> tuple[int, int]:
    """MiB of parallel trainings: in total, and without the imports."""
    context = multiprocessing.get_context("spawn")
    result = context.Queue()
    processes = [
        context.Process(target=train, args=(levels, options, result)) for levels in trainings
    ]
    for process in processes:
        process.start()
    peaks = [result.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(peak for peak, _ in peaks) // 1024, sum(peak for _, peak in peaks) // 1024


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="dgstgcn")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--clips", type=int, default=16)
    options = parser.parse_args()
    for label, trainings in (
        ("one assembly", [LEVELS]),
        ("four trainings", [(level,) for level in LEVELS]),
    ):
        whole, own = measure(trainings, options)
        print(f"{label:14}  {whole:6} MiB, of them {own:6} for the training", flush=True)


if __name__ == "__main__":
    main()
