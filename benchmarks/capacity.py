"""Costs of NTU RGB+D 120 with several backbones and seeds on 1, 8 and 64 GPUs.

Prints the tables of docs/reference/capacity.md. The speed of one GPU is a parameter: measure it
with ``benchmarks/train_step.py --device cuda``. All else is counted from the networks.

Usage: python benchmarks/capacity.py [--speeds stgcn=400 aagcn=195] [--gpus 1 8 64] [--link 1.25]
"""

from __future__ import annotations

import argparse
import heapq
import io
import math

import torch

from pyg_stgcn.models import create_model

#: Clips a second of an H200 in float32 with eight clips a step, docs/measurements/models.md.
SPEEDS = {"stgcn": 8 / 0.020, "aagcn": 8 / 0.041, "ctrgcn": 8 / 0.067, "dgstgcn": 8 / 0.096}
#: NTU RGB+D 120, cross-subject.
TRAIN, VAL = 63_026, 50_919
EPOCHS, BATCH, VALIDATIONS, VIEWS = 80, 128, 8, 10
#: A store of 114,480 clips, docs/measurements/data.md.
STORE, STORED_CLIPS = 1.54 * 2**30, 114_480
#: Core seconds of a clip: transformed in the loader, or only read, docs/measurements/data.md.
SINGLE, READ = 1 / 336, 1 / 2469


def work() -> float:
    """Clips of one training, a forward pass counted as a third of a training step."""
    return EPOCHS * TRAIN + (VALIDATIONS + VIEWS) * VAL / 3


def sizes(model: str) -> tuple[int, float]:
    """Bytes of the gradient and of a checkpoint with momentum."""
    network = create_model(model, 120, "ntu25")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    file = io.BytesIO()
    torch.save([network.state_dict(), optimizer.state_dict()], file)
    return 4 * sum(weight.numel() for weight in network.parameters()), len(file.getvalue())


def hours_one_run_a_gpu(runs: list[float], gpus: int) -> float:
    """Length of a schedule that gives the next longest run to the first free GPU."""
    free = [0.0] * gpus
    for run in sorted(runs, reverse=True):
        heapq.heapreplace(free, free[0] + run)
    return max(free)


def hours_divided(runs: list[float], gpus: int, sent: list[float], link: float) -> float:
    """Length with all runs at once, and more GPUs for longer runs; all messages are waited for."""
    steps = EPOCHS * math.ceil(TRAIN / BATCH)

    def hours(run: float, share: int, gradient: float) -> float:
        messages = steps * gradient * 2 * (share - 1) / share / link / 3600
        return run / share + messages

    shares = [1] * len(runs)
    while sum(shares) < gpus:
        longest = max(range(len(runs)), key=lambda i: hours(runs[i], shares[i], sent[i]))
        more = hours(runs[longest], shares[longest] + 1, sent[longest])
        if more >= hours(runs[longest], shares[longest], sent[longest]):
            break
        shares[longest] += 1
    return max(map(hours, runs, shares, sent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speeds", nargs="+", default=[], help="clips a second of one GPU")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--link", type=float, default=1.25, help="GB/s between GPUs of a run")
    options = parser.parse_args()
    given = dict(word.split("=") for word in options.speeds)
    speeds = {name: float(value) for name, value in given.items()} or SPEEDS
    print(
        "| | clips a second | hours of a run | gradient, MB | sent a step by each of 4 GPUs, MB "
        "| checkpoint, MB | cores a GPU: single clips / stored clips | reads, MB/s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    runs, gradients = [], []
    for model, speed in speeds.items():
        gradient, checkpoint = sizes(model)
        hours = work() / speed / 3600
        runs += [hours] * options.seeds
        gradients += [float(gradient)] * options.seeds
        print(
            f"| {model} | {speed:.0f} | {hours:.1f} | {gradient / 1e6:.1f} "
            f"| {gradient * 1.5 / 1e6:.1f} | {checkpoint / 1e6:.1f} "
            f"| {speed * SINGLE:.1f} / {speed * READ:.2f} "
            f"| {speed * STORE / STORED_CLIPS / 1e6:.1f} |"
        )
    print(f"\n{len(runs)} runs, {sum(runs):.0f} GPU hours\n")
    print(f"| GPUs | hours, one run a GPU | hours, runs divided, {options.link:g} GB/s |")
    print("| --- | --- | --- |")
    for gpus in options.gpus:
        divided = "-"
        if gpus > len(runs):
            divided = f"{hours_divided(runs, gpus, gradients, options.link * 1e9):.1f}"
        print(f"| {gpus} | {hours_one_run_a_gpu(runs, gpus):.1f} | {divided} |")


if __name__ == "__main__":
    main()
