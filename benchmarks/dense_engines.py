"""Times sparse backbones and the strongest dense engines in one process.

    python benchmarks/dense_engines.py --files DIR --sparsity 0.9 0.95 0.99

Sparse models run in the PyTorch runtime and in the engine. The dense engines are ONNX Runtime and
OpenVINO, in float32, bfloat16 and 8-bit integers, each as far as this machine can. All run the same
ONNX file; writing it takes minutes, so ``--files`` keeps it for the next time. Skeleton ntu25, one
clip; masks are random and equally dense in each layer. A dense engine takes the same time at any
sparsity. Times are medians; so are the ratios, of neighbouring passes, with the first and last
decile.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import torch
from runtime import GRAPHS, paired, pruned

from pyg_stgcn.models import random_clips
from pyg_stgcn.profiling.backends import make_runner, why_not_backend
from pyg_stgcn.profiling.dense_engines import DENSE_ENGINES, engine_instructions, make_engine
from pyg_stgcn.runtime import kernels


def compare(name: str, engines: list[str], options: argparse.Namespace) -> None:
    """Prints the row of the engines, and one row a sparsity with the ratios."""
    models = [pruned(name, sparsity, options) for sparsity in options.sparsity]
    clips = random_clips(models[0], 1, options.persons, options.frames)
    folder = options.files / f"{name}-{options.width}"
    folder.mkdir(parents=True, exist_ok=True)
    runners = [make_engine(engine, models[0], folder) for engine in engines]
    rows = [
        (sparsity, backend, make_runner(backend, model, folder))
        for sparsity, model in zip(options.sparsity, models, strict=True)
        for backend in ("runtime", "engine")
    ]
    runners += [run for _, _, run in rows]
    times = paired([partial(run, *clips) for run in runners], options.rounds, time.perf_counter)
    dense, sparse = times[: len(engines)], times[len(engines) :]
    cells = " | ".join(f"{statistics.median(own):.1f} ms" for own in dense)
    print(f"| {name} | dense | | | {cells} |")
    for (sparsity, backend, _), own in zip(rows, sparse, strict=True):
        cells = " | ".join(_ratio(slow, own) for slow in dense)
        median = f"{statistics.median(own):.2f}"
        print(f"| {name} | {100 * sparsity:g} % | {backend} | {median} | {cells} |", flush=True)


def _ratio(slow: list[float], fast: list[float]) -> str:
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    low, *_, high = statistics.quantiles(ratios, n=10)
    return f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(GRAPHS), default=list(GRAPHS))
    parser.add_argument("--engines", nargs="+", choices=DENSE_ENGINES, default=DENSE_ENGINES)
    parser.add_argument("--sparsity", nargs="+", type=float, default=[0.8, 0.9, 0.95, 0.99])
    parser.add_argument("--files", type=Path, required=True, help="folder of the ONNX files")
    parser.add_argument("--structure", default="unstructured")
    parser.add_argument("--persons", type=int, default=2)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    options.masks = "uniform"
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    reasons = {name: why_not_backend(name, torch.device("cpu")) for name in options.engines}
    for name in options.engines:
        note = reasons[name] or engine_instructions(name)
        print(f"{name}: {note}" if note else name)
    engines = [name for name, reason in reasons.items() if not reason]
    print(f"kernels: {kernels()}, threads: {options.threads}\n")
    print(f"| model | zeros | by | ms | {' | '.join(engines)} |")
    print("| --- " * (4 + len(engines)) + "|")
    with torch.inference_mode():
        for name in options.models:
            compare(name, engines, options)


if __name__ == "__main__":
    main()
