"""Times the choices made in ``pyg_stgcn.nn``: which graph product, which memory order.

    python benchmarks/spatial_conv.py --threads 1
    python benchmarks/spatial_conv.py --device cuda --persons 16 64 256 --json spatial_conv.json

For every width, number of persons and density of the graph: the spatial convolution with the sparse
and with the dense graph product, forward and in training (the matrix made from the edge weights
each time); at the end the temporal convolution in both memory orders. The alternatives take turns
within a round, so that a busy machine slows all of them alike. Median milliseconds; on a CPU with
one thread of processor time (which other processes disturb least), else of elapsed time, on a GPU
with a synchronisation before and after.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.typing import SparseTensor
from turns import seconds

from pyg_stgcn.nn.conv import st_graph_conv

NUM_PARTITIONS = 3
DENSITIES = (0.01, 0.02, 0.04, 0.08, 0.2, 0.5, 1.0)
#: A function and the inputs whose gradients are wanted.
Run = tuple[Callable[[], Tensor], Iterable[Tensor]]


def times(runs: Mapping[str, Run], rounds: int, device: str) -> dict[str, tuple[float, float]]:
    """The median milliseconds without gradients, and of forward and backward together."""

    def step(run: Run) -> Callable[[], None]:
        forward, wanted = run
        return lambda: forward().sum().backward(inputs=list(wanted))

    with torch.no_grad():
        passes = seconds({name: forward for name, (forward, _) in runs.items()}, rounds, device)
    steps = seconds({name: step(run) for name, run in runs.items()}, rounds, device)
    median = statistics.median
    return {name: (1e3 * median(passes[name]), 1e3 * median(steps[name])) for name in runs}


def compare_products(
    channels: int, frames: int, density: float, args: argparse.Namespace
) -> dict[str, tuple[float, float]]:
    """Times the spatial convolution of frames with a random graph, sparse and dense."""
    joints, device = args.joints, args.device
    rows = NUM_PARTITIONS * joints
    num_edges = round(density * rows * joints)
    places = torch.randperm(rows * joints)[:num_edges].sort().values.to(device)
    made = {"device": device, "requires_grad": True}
    x = torch.randn(frames, joints, channels, **made)
    weight = torch.randn(channels, NUM_PARTITIONS * channels, **made)
    bias = torch.zeros(NUM_PARTITIONS * channels, **made)
    edges = torch.randn(num_edges, **made)
    structure = SparseTensor(
        row=places // joints,
        col=places % joints,
        value=edges.detach(),
        sparse_sizes=(rows, joints),
        is_sorted=True,
    ).fill_cache_()

    def sparse() -> Tensor:
        return st_graph_conv(x, structure.set_value(edges, layout="coo"), weight, bias)

    def dense() -> Tensor:
        matrix = edges.new_zeros(rows * joints).index_add_(0, places, edges)
        return st_graph_conv(x, matrix.view(rows, joints), weight, bias)

    wanted = (x, weight, bias, edges)
    runs = {"sparse": (sparse, wanted), "dense": (dense, wanted)}
    return times(runs, args.rounds, device)


def compare_orders(
    channels: int, persons: int, args: argparse.Namespace
) -> dict[str, tuple[float, float]]:
    """Times the temporal convolution with its features last and with them second."""
    shape = persons, args.frames, args.joints
    made = {"device": args.device, "requires_grad": True}
    last = torch.randn(*shape, channels, **made)
    second = torch.randn(shape[0], channels, *shape[1:], **made)
    weight = torch.randn(channels, channels, 9, 1, **made)

    def features_last() -> Tensor:
        return F.conv2d(last.permute(0, 3, 1, 2), weight, padding=(4, 0))

    def features_second() -> Tensor:
        return F.conv2d(second, weight, padding=(4, 0))

    runs = {
        "features last": (features_last, (last, weight)),
        "features second": (features_second, (second, weight)),
    }
    return times(runs, args.rounds, args.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--persons", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--joints", type=int, default=25)
    parser.add_argument("--densities", type=float, nargs="+", default=DENSITIES)
    parser.add_argument("--json", type=Path, help="file for all times")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows: list[dict[str, Any]] = []

    def tell(found: dict[str, tuple[float, float]], **setting: Any) -> None:
        for name, (forward, training) in found.items():
            rows.append({**setting, "variant": name, "forward": forward, "training": training})
        words = "  ".join(f"{name} {value:<4}" for name, value in setting.items())
        columns = "   ".join(f"{name} {a:7.2f} / {b:7.2f}" for name, (a, b) in found.items())
        print(f"{words}  {columns}", flush=True)

    print("spatial convolution, ms: forward / forward and backward")
    for channels in args.channels:
        for persons in args.persons:
            for density in args.densities:
                found = compare_products(channels, persons * args.frames, density, args)
                tell(found, channels=channels, persons=persons, density=density)
    print("temporal convolution, ms: forward / forward and backward")
    for channels in args.channels:
        found = compare_orders(channels, max(args.persons), args)
        tell(found, channels=channels, persons=max(args.persons))
    if args.json is not None:
        where = torch.cuda.get_device_name(args.device) if "cuda" in args.device else "CPU"
        result = {
            "device": where,
            "torch": torch.__version__,
            "options": {name: value for name, value in vars(args).items() if name != "json"},
            "milliseconds": rows,
        }
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
