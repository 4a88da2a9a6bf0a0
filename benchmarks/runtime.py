"""Times compiled sparse backbones and the dense reference implementation in one process.

    python benchmarks/runtime.py --threads 1 --models stgcn --sparsity 0.8 0.9 0.95 0.99

Skeleton ntu25; by default one clip of 100 frames and width 64. The reference implementation
(``tests/reference``) has two persons; the compiled model two, and one. The table shows medians and
the speed-up of neighbouring passes, with its first and last decile. ``--clock cpu`` counts
processor time instead of the wall clock, for busy machines. ``--training`` times training steps of
ST-GCN on clips of two persons: the reference implementation, the dense model of this package, and
sparse training with constant masks. ``--layers`` shows the time of each instruction of an ST-GCN,
and its billions of operations per second on kept weights.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from reference import ReferenceModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pyg_stgcn.models import create_model, random_clips
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.profiling.cost import measure_forward
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.run_sparsity import sparsity_summary
from pyg_stgcn.runtime import SparseBackbone, compile_sparse, kernels
from pyg_stgcn.runtime.experimental import SparseTraining
from pyg_stgcn.sparsity import make_schedule, sparsify

GRAPHS = {
    "stgcn": "stgcn_spatial",
    "stgcnpp": "spatial",
    "aagcn": "spatial",
    "ctrgcn": "spatial",
    "dgstgcn": "random",
}
JOINTS = 25


def pruned(name: str, sparsity: float, options: argparse.Namespace) -> Backbone:
    """A model with statistics and masks; values do not matter to the time."""
    model = create_model(name, 60, "ntu25", graph=GRAPHS[name], base_channels=options.width)
    assert isinstance(model, Backbone)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith(("alpha", "beta", "joint_factor")):
                parameter.fill_(0.1)
            if key.endswith("norm.weight"):
                parameter.fill_(1)
    # A global threshold on unscaled weights prunes whole layers, as in trained models.
    scale = "none" if options.masks == "global" else "fan_in"
    sparsify(
        model,
        sparsity,
        exclude="head.*",
        allocation=options.masks,
        min_density=0,
        score_scale=scale,
        structure=options.structure,
    ).finalize()
    return model.eval()


def trained(run: Run, cut: float | None) -> Backbone:
    """The weights of a run on the graph of ntu25, or cut again by magnitude."""
    name = run.config.model.backbone
    options = {"base_channels": run.config.model.channels, "graph": GRAPHS[name]}
    model = create_model(name, 60, "ntu25", **options)
    assert isinstance(model, Backbone)
    own = model.state_dict()
    found = run.load_model().state_dict() if cut is None else unpruned(run)
    found = {key: value for key, value in found.items() if key in own}
    model.load_state_dict(
        {key: value for key, value in found.items() if value.shape == own[key].shape}, strict=False
    )
    if cut is not None:
        settings = {
            "allocation": run.config.sparsity.allocation,
            "min_density": run.config.sparsity.min_density,
        }
        schedule = make_schedule("constant", cut, 1)
        sparsify(
            model, cut, method="magnitude", exclude="head.*", schedule=schedule, **settings
        ).finalize()
    return model.eval()


def unpruned(run: Run) -> dict[str, Tensor]:
    """The unmasked weights in the last checkpoint, of a method that keeps them."""
    checkpoint = torch.load(run.last_checkpoint, weights_only=True, map_location="cpu")
    return {
        re.sub(r"parametrizations\.(\w+)\.original$", r"\1", key.removeprefix("model.")): value
        for key, value in checkpoint["state_dict"].items()
    }


def candidates(options: argparse.Namespace) -> Iterator[tuple[str, str, Backbone, nn.Module]]:
    """Name, sparsity, masked model and reference implementation of every comparison."""
    for folder in options.run:
        run = Run.open(folder)
        name, width = run.config.model.backbone, run.config.model.channels
        model = run.load_model()
        own = sparsity_summary(model, run, run.load_masks(model))["sparsity"]
        reference = ReferenceModel(name, 60, "ntu25", GRAPHS[name], width).eval()
        for cut in options.cut or [None]:
            zeros = f"{folder.name}, {100 * (own if cut is None else cut):.1f} %"
            yield name, zeros, trained(run, cut), reference
    for name in [] if options.run else options.models:
        reference = ReferenceModel(name, 60, "ntu25", GRAPHS[name], options.width).eval()
        for sparsity in options.sparsity:
            zeros = f"{100 * sparsity:g} %"
            yield name, zeros, pruned(name, sparsity, options), reference


def paired(
    passes: list[Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> list[list[float]]:
    """Milliseconds of every pass in every round, after two rounds to warm up."""
    times: list[list[float]] = [[] for _ in passes]
    for number in range(rounds + 2):
        for own, run in zip(times, passes, strict=True):
            start = clock()
            run()
            if number >= 2:
                own.append(1000 * (clock() - start))
    return times


def compare(options: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Prints one row a model and sparsity."""
    print("| model | zeros | dense, ms | two persons, ms | ratio | one person, ms | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, zeros, masked, reference in candidates(options):
        clips, frames = options.clips or 1, options.frames
        two, one = (random_clips(masked, clips, persons, frames) for persons in (2, 1))
        padded = torch.randn(clips, 2, frames, masked.skeleton.num_joints, 3)
        model = compile_sparse(masked)
        passes = [
            lambda module=module, given=given: module(*given)
            for module, given in ((reference, (padded,)), (model, two), (model, one))
        ]
        dense, both, single = paired(passes, options.rounds, clock)
        cells = [f"{statistics.median(dense):.1f}"]
        for times in (both, single):
            ratios = [slow / fast for slow, fast in zip(dense, times, strict=True)]
            low, *_, high = statistics.quantiles(ratios, n=10)
            cells += [
                f"{statistics.median(times):.2f}",
                f"{statistics.median(ratios):.1f} ({low:.1f}-{high:.1f})",
            ]
        print(f"| {name} | {zeros} | {' | '.join(cells)} |", flush=True)


def training_step(
    forward: nn.Module, model: nn.Module, clips: Sequence[Any], target: Tensor
) -> Callable[[], None]:
    """A step of SGD by a model, with the parameters of ``model``."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(forward(*clips), target).backward()
        optimizer.step()

    return step


def training(options: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Prints the time of training steps, one row a sparsity."""
    clips = options.clips or 8
    target = torch.arange(clips) % 60
    padded = torch.randn(clips, 2, options.frames, JOINTS, 3)
    reference = ReferenceModel("stgcn", 60, "ntu25", GRAPHS["stgcn"], options.width)
    size = {"graph": GRAPHS["stgcn"], "base_channels": options.width}
    dense = create_model("stgcn", 60, "ntu25", **size)
    assert isinstance(dense, Backbone)
    batch = random_clips(dense, clips, 2, options.frames)
    steps = [
        training_step(reference, reference, (padded,), target),
        training_step(dense, dense, batch, target),
    ]
    for sparsity in options.sparsity:
        model = create_model("stgcn", 60, "ntu25", **size)
        assert isinstance(model, Backbone)
        sparsify(
            model,
            sparsity,
            method="random",
            exclude="head.*",
            allocation="erk" if options.masks == "erk" else "uniform",
            structure=options.structure,
        )
        steps.append(training_step(SparseTraining(model), model, batch, target))
    old, own, *sparse = paired(steps, options.rounds, clock)
    print("| zeros | reference, ms | own, ms | sparse, ms | reference / sparse | own / sparse |")
    print("| --- | --- | --- | --- | --- | --- |")
    for sparsity, times in zip(options.sparsity, sparse, strict=True):
        cells = [f"{statistics.median(one):.0f}" for one in (old, own, times)]
        for slow in (old, own):
            ratios = [one / fast for one, fast in zip(slow, times, strict=True)]
            cells.append(f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})")
        print(f"| {100 * sparsity:g} % | {' | '.join(cells)} |", flush=True)


def scaling(options: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Prints how time and memory grow with frames, persons and clips."""
    print("| model | clips x persons x frames | ms | MiB | dense, MiB |")
    print("| --- | --- | --- | --- | --- |")
    for name in options.models:
        model = pruned(name, 0.95, options)
        compiled = compile_sparse(model)
        for clips, persons, factor in ((1, 1, 1), (1, 2, 1), (1, 2, 2), (4, 2, 1)):
            frames = factor * options.frames
            batch = random_clips(model, clips, persons, frames)
            (times,) = paired([lambda b=batch, c=compiled: c(*b)], options.rounds, clock)
            peak, dense_peak = (
                measure_forward(module, batch, 0.01)[1] / 2**20 for module in (compiled, model)
            )
            row = f"{clips} x {persons} x {frames} | {statistics.median(times):.2f}"
            print(f"| {name} | {row} | {peak:.1f} | {dense_peak:.1f} |", flush=True)


def layers(options: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Prints the time of every instruction of an ST-GCN, one person."""
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    (times,) = paired([lambda: left @ right], options.rounds, clock)
    print(f"dense product of 1024 x 1024: {2 * 1024**3 / statistics.median(times) / 1e6:.0f} GF/s")
    for sparsity in options.sparsity:
        compiled = SparseBackbone(pruned("stgcn", sparsity, options))
        slots = compiled.packed(torch.randn(1, options.frames, JOINTS, 3))
        print(f"{100 * sparsity:g} %: instruction, channels, ms, GF/s")
        for step, last in zip(compiled.steps, compiled.read_last, strict=True):
            (times,) = paired([partial(step.run, slots)], options.rounds, clock)
            frames = slots[step.target].size(2) - 2 * step.halo
            work = 2 * int(step.values.count_nonzero()) * frames * JOINTS
            ms = statistics.median(times)
            kind = type(step).__name__
            print(f"  {kind:16} {step.channels:4} {ms:8.3f} {work / ms / 1e6:6.0f}")
            for slot in last:
                slots[slot] = None


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(GRAPHS), default=list(GRAPHS))
    parser.add_argument("--sparsity", nargs="+", type=float, default=[0.8, 0.9, 0.95, 0.99])
    parser.add_argument("--masks", choices=("uniform", "erk", "global"), default="uniform")
    parser.add_argument(
        "--structure", default="unstructured", help="weights that are pruned together"
    )
    parser.add_argument(
        "--run", nargs="+", type=Path, default=[], help="folders of trained single models"
    )
    parser.add_argument(
        "--cut", nargs="+", type=float, help="cut the weights of the runs to these, by magnitude"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--training", action="store_true", help="training steps of ST-GCN")
    parser.add_argument("--clips", type=int, help="at once [default: 1; of a training step 8]")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--layers", action="store_true", help="each instruction of an ST-GCN")
    parser.add_argument("--scaling", action="store_true", help="frames, persons and clips")
    options = parser.parse_args()
    if options.cut and not options.run:
        parser.error("--cut is of the runs; give --run")
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    print(f"kernels: {kernels()}, threads: {options.threads}, masks: {options.masks}")
    if options.training:
        training(options, clock)
        return
    with torch.inference_mode():
        if options.layers:
            layers(options, clock)
        elif options.scaling:
            scaling(options, clock)
        else:
            compare(options, clock)


if __name__ == "__main__":
    main()
