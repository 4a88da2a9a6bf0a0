"""Cost of masks: a training step with them against the dense one, and the search of the threshold.

    python benchmarks/masking.py --threads 2 --rounds 5

ST-GCN of width 64 at 95 %, batches of 8 clips of 100 frames, 25 joints and two persons: forward,
backward, optimiser and controller. "score" updates its masks in every step; "magnitude" and "rigl"
are timed between two updates, and once with the update. Every round times all methods, one after
the other; shown are the medians of their milliseconds, of the ratios to the dense step of the same
round, and the spread of these. Memory is the peak that three steps add to a process of their
own; the part of the gradient and momentum of the scores is listed separately.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch_geometric.data import Batch, Data
from train_step import resident

from pyg_stgcn.models import create_model
from pyg_stgcn.sparsity import SparsityController, score_parameters, sparsify
from pyg_stgcn.sparsity.threshold import keep_highest

CLIPS, PERSONS, FRAMES, JOINTS, CLASSES, SPARSITY = 8, 2, 100, 25, 60, 0.95
#: More steps than any benchmark takes, so that no step is an update.
NEVER = 10**6
VARIANTS = ("dense", "score", "magnitude", "rigl")


class Trainer:
    """A network with an optimiser and, unless it is dense, masks."""

    def __init__(self, method: str) -> None:
        torch.manual_seed(0)
        self.model = create_model("stgcn", CLASSES, "ntu25", graph="stgcn_spatial")
        self.controller: SparsityController | None = None
        if method != "dense":
            self.controller = sparsify(
                self.model,
                SPARSITY,
                method=method,
                exclude="head.*",
                update_every=1 if method == "score" else NEVER,
            )
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4
        )

    def step(self, batch: Batch) -> None:
        self.optimizer.zero_grad()
        cross_entropy(self.model(batch.x, batch.batch, batch.num_graphs), batch.y).backward()
        self.optimizer.step()
        if self.controller is not None:
            self.controller.step(self.optimizer)

    def step_with_update(self, batch: Batch) -> None:
        """The last step before an update, and the update."""
        assert self.controller is not None
        self.controller.load_state_dict({"num_steps": NEVER - 1})
        self.step(batch)
        self.controller.load_state_dict({"num_steps": 0})


def make_batch() -> Batch:
    torch.manual_seed(0)
    samples = [
        Data(
            x=torch.randn(PERSONS * JOINTS, FRAMES, 3),
            num_persons=PERSONS,
            y=torch.randint(CLASSES, (1,)),
        )
        for _ in range(CLIPS)
    ]
    return Batch.from_data_list(samples)


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def memory(method: str, threads: int) -> float:
    """MiB that three steps add to a process of their own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_memory_here, (method, threads))


def _memory_here(method: str, threads: int) -> float:
    torch.set_num_threads(threads)
    batch = make_batch()
    trainer = Trainer(method)
    before = resident()
    for _ in range(3):
        trainer.step(batch)
    return (resident() - before) / 1024


def time_steps(rounds: int, threads: int) -> None:
    batch = make_batch()
    trainers = {method: Trainer(method) for method in VARIANTS}
    steps: dict[str, Callable[[Batch], None]] = {
        method: trainers[method].step for method in VARIANTS
    }
    for method in ("magnitude", "rigl"):
        steps[f"{method}, with the update"] = trainers[method].step_with_update
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            spent = milliseconds(lambda step=step: step(batch))
            if number:  # The first round warms up.
                times[name].append(spent)
    scores = score_parameters(trainers["score"].model)
    score_memory = 2 * sum(score.numel() * score.element_size() for score in scores) / 2**20
    used = {method: memory(method, threads) for method in VARIANTS}
    print("| step | ms | times dense | memory, MiB |\n| --- | --- | --- | --- |")
    for name, values in times.items():
        ratios = [one / other for one, other in zip(values, times["dense"], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        size = f"{used[name]:.0f}" if name in used else ""
        if name == "score":
            size += f", {score_memory:.0f} of it the scores"
        print(f"| {name} | {statistics.median(values):.0f} | {spread} | {size} |")


def time_thresholds(rounds: int) -> None:
    """Selection against a full sort, on as many scores as ST-GCN has weights."""
    model = Trainer("dense").model
    numel = sum(p.numel() for name, p in model.named_parameters() if name.endswith("weight"))
    scores = torch.randn(numel)
    pruned = round(SPARSITY * (numel - 1))

    def sort() -> Tensor:
        order = scores.argsort(stable=True)
        mask = torch.ones_like(scores, dtype=torch.bool)
        mask[order[:pruned]] = False
        return mask

    assert keep_highest(scores, pruned).equal(sort())
    ways: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: keep_highest(scores, pruned),
        "sorting everything": sort,
        "numpy.sort": lambda: torch.from_numpy(np.sort(scores.numpy())),
    }
    print(f"\n| threshold of {numel:,} scores | ms |\n| --- | --- |")
    for name, way in ways.items():
        spent = [milliseconds(way) for _ in range(rounds)]
        print(f"| {name} | {statistics.median(spent):.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    time_steps(args.rounds, args.threads)
    time_thresholds(args.rounds)


if __name__ == "__main__":
    main()
