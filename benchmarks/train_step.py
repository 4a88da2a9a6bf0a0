"""Times a forward pass and a training step of every backbone against the reference.

    python benchmarks/train_step.py --threads 2
    python benchmarks/train_step.py --device cuda
    python benchmarks/train_step.py --compile --models stgcn

Batches of 8 clips of 100 frames and 25 joints, width 64, all other options at the published values.
"two" has two persons in every clip; "mix" has 40 clips in five batches, 80 % of them with one
person, which the reference pads to two. Both have the same weights and are checked to give
the same logits first. Every round times both, one after the other; shown are the medians of their
milliseconds a batch, of the ratios within a round, and the range of these ratios. Memory is the
peak that three training steps add to a process of their own, or to the allocated memory of a GPU.
With --compile training steps are timed without compilation and with it: the reference by
torch.compile, ours as `train --compile` does it.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from reference import ReferenceModel
from torch import nn
from torch.nn.functional import cross_entropy

from pyg_stgcn.models import create_model, list_models, pyskl_state_dict
from pyg_stgcn.training.compiled_pass import CompiledPass

CLIPS, FRAMES, JOINTS, CLASSES, SKELETON = 8, 100, 25, 60, "ntu25"
GRAPHS = {"stgcn": "stgcn_spatial", "dgstgcn": "random"}
PERSONS = {
    "two": [[2] * CLIPS],
    "mix": [[1] * (CLIPS - twos) + [2] * twos for twos in (2, 1, 2, 1, 2)],
}
VARIANTS = ("reference", "ours")


def make_models(name: str, device: str) -> dict[str, nn.Module]:
    """The reference implementation and a backbone, with the same weights."""
    torch.manual_seed(0)
    graph = GRAPHS.get(name, "spatial")
    ours = create_model(name, CLASSES, SKELETON, graph=graph)
    reference = ReferenceModel(name, CLASSES, SKELETON, graph)
    reference.load_state_dict(pyskl_state_dict(ours))
    return {"reference": reference.to(device), "ours": ours.to(device)}


def make_batches(persons: Sequence[Sequence[int]], device: str) -> dict[str, list[tuple[Any, ...]]]:
    """The arguments of both for the same clips; the reference has two persons in each."""
    reference: list[tuple[Any, ...]] = []
    ours: list[tuple[Any, ...]] = []
    for numbers in persons:
        clips = torch.randn(CLIPS, 2, FRAMES, JOINTS, 3)
        parts, nodes = [], []
        for clip, number in zip(clips, numbers, strict=True):
            clip[number:] = 0
            parts.append(clip[:number].transpose(1, 2).flatten(0, 1))
            nodes.append(number * JOINTS)
        reference.append((clips.to(device),))
        batch = torch.arange(CLIPS).repeat_interleave(torch.tensor(nodes))
        ours.append((torch.cat(parts).to(device), batch.to(device), CLIPS))
    return {"reference": reference, "ours": ours}


def make_step(
    model: nn.Module,
    batches: Sequence[Sequence[Any]],
    forward: Callable[..., torch.Tensor] | None = None,
) -> Callable[[], None]:
    """A training step on every batch, by another forward pass of the model if it is given."""
    run = model if forward is None else forward
    target = torch.arange(CLIPS, device=next(model.parameters()).device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def step() -> None:
        model.train()
        for batch in batches:
            optimizer.zero_grad()
            cross_entropy(run(*batch), target).backward()
            optimizer.step()

    return step


def make_forward(model: nn.Module, batches: Sequence[Sequence[Any]]) -> Callable[[], None]:
    """A forward pass on every batch."""

    @torch.inference_mode()
    def forward() -> None:
        model.eval()
        for batch in batches:
            model(*batch)

    return forward


def alternate(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of functions that take turns, after one round to warm up."""
    taken: dict[str, list[float]] = {variant: [] for variant in runs}
    for turn in range(rounds + 1):
        for variant, run in runs.items():
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                taken[variant].append(1e3 * (time.perf_counter() - start))
    return taken


def check_equal(models: dict[str, nn.Module], device: str) -> None:
    """Raises an error unless both give the same logits for two persons."""
    batches = make_batches(PERSONS["two"], device)
    with torch.inference_mode():
        reference, ours = (models[variant].eval()(*batches[variant][0]) for variant in VARIANTS)
    close = 1e-4 if device == "cpu" else 1e-3
    torch.testing.assert_close(ours, reference, rtol=close, atol=close)


def resident() -> int:
    """The most memory that this process has had so far, in KiB; Linux only."""
    # Not getrusage: its value for a new process includes the parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])


def _memory(name: str, variant: str, persons: str, threads: int, result: Any) -> None:
    torch.set_num_threads(threads)
    step = make_step(
        make_models(name, "cpu")[variant], make_batches(PERSONS[persons], "cpu")[variant][:1]
    )
    before = resident()
    for _ in range(3):
        step()
    result.put(resident() - before)


def peak_memory(name: str, variant: str, persons: str, threads: int) -> float:
    """MiB that training steps add to a fresh process, at most."""
    context = multiprocessing.get_context("spawn")
    result = context.Queue()
    process = context.Process(target=_memory, args=(name, variant, persons, threads, result))
    process.start()
    kib = result.get()
    process.join()
    return kib / 1024


def peak_gpu_memory(model: nn.Module, batches: Sequence[Sequence[Any]]) -> float:
    """Peak memory in MiB that training steps add to the allocated memory."""
    step = make_step(model, batches[:1])
    model.zero_grad(set_to_none=True)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        step()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def compare_compiled(
    models: dict[str, nn.Module], batches: dict[str, list[tuple[Any, ...]]], rounds: int
) -> str:
    """Training steps of both, with compilation and without."""
    reference, ours = (copy.deepcopy(models[variant]).train() for variant in VARIANTS)
    traced = torch.compile(reference)
    compiled = CompiledPass(lambda *clips: (ours(*clips), []), ours, CLIPS)
    runs = {variant: make_step(models[variant], batches[variant]) for variant in VARIANTS}
    runs["reference compiled"] = make_step(reference, batches["reference"], traced)
    runs["ours compiled"] = make_step(ours, batches["ours"], lambda *clips: compiled(*clips)[0])
    taken = alternate(runs, rounds)
    count = len(batches["ours"])
    times = [f"{name} {statistics.median(ms) / count:.1f} ms" for name, ms in taken.items()]
    for variant in VARIANTS:
        pairs = zip(taken[variant], taken[f"{variant} compiled"], strict=True)
        ratios = sorted(plain / own for plain, own in pairs)
        times.append(
            f"{variant}: compiled {statistics.median(ratios):.2f}x "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    return ", ".join(times)


def show(what: str, taken: dict[str, list[float]], batches: int) -> str:
    reference, ours = (statistics.median(taken[variant]) / batches for variant in VARIANTS)
    ratios = sorted(a / b for a, b in zip(taken["reference"], taken["ours"], strict=True))
    return (
        f"{what} {reference:6.1f} / {ours:6.1f} ms  {statistics.median(ratios):4.2f}x "
        f"({ratios[0]:4.2f} to {ratios[-1]:4.2f})"
    )


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list_models(), choices=list_models())
    parser.add_argument("--persons", nargs="+", default=list(PERSONS), choices=list(PERSONS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="time compiled training steps")
    arguments = parser.parse_args()
    device = arguments.device
    if device != "cpu":
        torch.cuda.set_device(device)
    # Convolutions would take it by default and linear maps not.
    torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(arguments.threads)
    if not arguments.compile:
        print("reference / ours")
    for name in arguments.models:
        models = make_models(name, device)
        check_equal(models, device)
        for persons in arguments.persons:
            batches = make_batches(PERSONS[persons], device)
            count = len(PERSONS[persons])
            if arguments.compile:
                line = compare_compiled(models, batches, arguments.rounds)
                print(f"{name:8} {persons:3}  {line}", flush=True)
                continue
            lines = []
            for what, make in (("forward", make_forward), ("step", make_step)):
                runs = {variant: make(models[variant], batches[variant]) for variant in VARIANTS}
                lines.append(show(what, alternate(runs, arguments.rounds), count))
            if device == "cpu":
                used = [
                    peak_memory(name, variant, persons, arguments.threads) for variant in VARIANTS
                ]
            else:
                used = [peak_gpu_memory(models[variant], batches[variant]) for variant in VARIANTS]
            lines.append(f"memory {used[0]:5.0f} / {used[1]:5.0f} MiB")
            print(f"{name:8} {persons:3}  {'   '.join(lines)}", flush=True)


if __name__ == "__main__":
    main()
