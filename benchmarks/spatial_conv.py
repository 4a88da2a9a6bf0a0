"""Times the choices made in ``pyg_stgcn.nn``: which graph product, which memory order.

    python benchmarks/spatial_conv.py --threads 1

For every width and density of the graph: the sparse and the dense product of the spatial
convolution; at the end the temporal convolution in both memory orders. The alternatives take turns
within a round, so that a busy machine slows all of them alike. Median milliseconds of processor
time with one thread (which other processes disturb least), of elapsed time with more.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.typing import SparseTensor
from turns import seconds

from pyg_stgcn.nn.conv import st_graph_conv

NUM_PARTITIONS = 3


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median milliseconds of functions that take turns."""
    return {name: 1e3 * statistics.median(times) for name, times in seconds(runs, rounds).items()}


def forward_and_train(
    runs: dict[str, tuple[Callable[[], Tensor], Iterable[Tensor]]], rounds: int
) -> dict[str, tuple[float, float]]:
    """The medians of functions without gradients, and of forward and backward together."""

    def train(run: Callable[[], Tensor], inputs: Iterable[Tensor]) -> None:
        run().sum().backward(inputs=list(inputs))

    with torch.no_grad():
        forward = medians({name: run for name, (run, _) in runs.items()}, rounds)
    both = medians({name: (lambda f=f, i=i: train(f, i)) for name, (f, i) in runs.items()}, rounds)
    return {name: (forward[name], both[name]) for name in runs}


def random_graph(num_joints: int, num_edges: int) -> tuple[SparseTensor, Tensor]:
    """Edges drawn at random, as a sparse structure and as places in the dense matrix."""
    places = torch.randperm(NUM_PARTITIONS * num_joints**2)[:num_edges].sort().values
    structure = SparseTensor(
        row=places // num_joints,
        col=places % num_joints,
        value=torch.zeros(num_edges),
        sparse_sizes=(NUM_PARTITIONS * num_joints, num_joints),
    )
    return structure, places


def compare_products(
    channels: int, frames: int, num_joints: int, density: float, rounds: int
) -> dict[str, tuple[float, float]]:
    """Times the spatial convolution, forward and in training, sparse and dense."""
    rows = NUM_PARTITIONS * num_joints
    num_edges = round(density * rows * num_joints)
    structure, places = random_graph(num_joints, num_edges)
    x = torch.randn(frames, num_joints, channels, requires_grad=True)
    weight = torch.randn(channels, NUM_PARTITIONS * channels, requires_grad=True)
    bias = torch.zeros(NUM_PARTITIONS * channels, requires_grad=True)
    edges = torch.randn(num_edges, requires_grad=True)

    def sparse() -> Tensor:
        return st_graph_conv(x, structure.set_value(edges, layout="coo"), weight, bias)

    def dense() -> Tensor:
        matrix = edges.new_zeros(rows * num_joints).index_add(0, places, edges)
        return st_graph_conv(x, matrix.view(rows, num_joints), weight, bias)

    inputs = (x, weight, bias, edges)
    return forward_and_train({"sparse": (sparse, inputs), "dense": (dense, inputs)}, rounds)


def compare_orders(
    channels: int, persons: int, frames: int, num_joints: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Times the temporal convolution with its features last and with them second."""
    last = torch.randn(persons, frames, num_joints, channels, requires_grad=True)
    second = torch.randn(persons, channels, frames, num_joints, requires_grad=True)
    weight = torch.randn(channels, channels, 9, 1, requires_grad=True)
    runs = {
        "features last": (
            lambda: F.conv2d(last.permute(0, 3, 1, 2), weight, padding=(4, 0)),
            (last, weight),
        ),
        "features second": (lambda: F.conv2d(second, weight, padding=(4, 0)), (second, weight)),
    }
    return forward_and_train(runs, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--persons", type=int, default=16)
    parser.add_argument("--joints", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    print("spatial convolution, ms: forward / forward and backward")
    for channels, frames in ((16, 48), (64, 48), (64, 100)):
        for density in (0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 1.0):
            result = compare_products(
                channels, args.persons * frames, args.joints, density, args.rounds
            )
            columns = "   ".join(f"{k} {a:6.2f} / {b:6.2f}" for k, (a, b) in result.items())
            print(f"C={channels:<3} T={frames:<3} density {density:4.0%}   {columns}", flush=True)
    print("temporal convolution, ms: forward / forward and backward")
    for channels in (16, 32, 64):
        orders = compare_orders(channels, args.persons, 48, args.joints, args.rounds)
        columns = "   ".join(f"{k} {a:6.2f} / {b:6.2f}" for k, (a, b) in orders.items())
        print(f"C={channels:<3} T=48    {columns}", flush=True)


if __name__ == "__main__":
    main()
