"""Size and time of networks without their pruned channels, against the networks with zeros.

Every layer loses the same fraction of channels: at random, layer by layer, or, with ``--alike``,
the same channels in all layers of a width, so that residual paths agree.

Usage: python benchmarks/shrink.py [--models stgcn aagcn] [--sparsity 0.75] [--alike] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyg_stgcn.models import create_model, list_models, random_clips, shrink
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.profiling.dense_engines import make_engine
from pyg_stgcn.runtime import save_onnx
from pyg_stgcn.sparsity import sparsify


def pruned(name: str, width: int, sparsity: float, alike: bool) -> Any:
    """A network with pruned channels; no bias, factor or statistic is zero or one."""
    torch.manual_seed(0)
    model: Any = create_model(name, 60, "ntu25", base_channels=width)
    options: dict[str, Any] = {"method": "random", "allocation": "uniform", "structure": "channel"}
    if not alike:
        sparsify(model, sparsity, exclude="head.*", **options)
    for key, value in model.named_parameters():
        if key.endswith("bias") or "excite" in key or "frame_conv" in key:
            value.data.normal_(std=0.1)
        elif key.endswith("norm.weight"):
            value.data.uniform_(0.5, 1.5)
        elif key.endswith(("alpha", "beta", "joint_factor")):
            value.data.fill_(0.1)
        if alike and value.dim() > 1 and "head" not in key:
            value.data[torch.arange(len(value)) % 4 >= 4 * (1 - sparsity)] = 0
    with torch.no_grad():
        for _ in range(2):
            model.train()(*random_clips(model, 2, 2, 50))
    return copy_plain(model)


def compare(runs: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median milliseconds of every function; every round runs each once."""
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 2):
        for run, own in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            own += [time.perf_counter() - start] if number >= 2 else []
    return [1000 * statistics.median(own) for own in seconds]


@torch.inference_mode()
def measure(name: str, given: argparse.Namespace) -> str:
    """One row of the table."""
    model = pruned(name, given.width, given.sparsity, given.alike)
    small = shrink(model)
    models: list[nn.Module] = [model, small]
    clip = random_clips(model, 1, 2, 100)
    difference = float((model(*clip) - small(*clip)).abs().max())
    params = [sum(value.numel() for value in each.parameters()) for each in models]
    eager = compare([lambda each=each: each(*clip) for each in models], given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        engines, sizes = [], []
        for number, each in enumerate(models):
            path = Path(folder, str(number))
            path.mkdir()
            save_onnx(path / "model.onnx", each)
            sizes.append(path.joinpath("model.onnx").stat().st_size)
            engines.append(make_engine("onnx", each, path))
        onnx = compare([lambda run=run: run(*clip) for run in engines], given.rounds)
    cells = [f"{params[0] / params[1]:.1f}", f"{sizes[0] / sizes[1]:.1f}"]
    cells += [f"{a:.1f} → {b:.1f} ({a / b:.1f})" for a, b in (eager, onnx)]
    return f"| {name} | {' | '.join(cells)} | {difference:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list_models())
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--sparsity", type=float, default=0.75)
    parser.add_argument("--alike", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print("| model | parameters | ONNX file | eager, ms | ONNX Runtime, ms | difference |")
    print("|---|---|---|---|---|---|")
    for name in given.models:
        print(measure(name, given), flush=True)


if __name__ == "__main__":
    main()
