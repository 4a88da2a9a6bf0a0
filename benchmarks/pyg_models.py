"""Times PyG's GCN, GraphSAGE and GIN, dense and compiled by ``compile_sparse``.

    python benchmarks/pyg_models.py --json pyg_models.json

Three layers of 256 channels on a random graph (Barabasi-Albert) of 2,000 nodes with four
neighbours on average, as in citation graphs; random masks, equally dense in each layer. The graph
is given as a sparse matrix, ``adj_t``, or as ``edge_index``. Everything takes turns within a round,
so that a busy machine slows all alike; printed are the median milliseconds of processor time and
the medians of the ratios of neighbouring passes. ``mkl`` multiplies the same sparse weights by
``torch.sparse`` (CSR, MKL); ``--torch-compile`` adds the dense model by ``torch.compile``.

``--keep-memory`` keeps freed memory (on Linux), as the allocators that PyTorch recommends for CPUs
do: with the defaults of glibc, new pages for the features take as long as some layers.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor, nn
from torch_geometric.utils import barabasi_albert_graph, to_torch_csr_tensor
from turns import seconds

from pyg_stgcn.runtime import compile_report, compile_sparse, kernels

ZEROS = (0.8, 0.9, 0.95, 0.99)
MODELS: dict[str, Callable[[int], nn.Module]] = {
    "GCN": lambda width: pyg.GCN(width, width, 3, cached=True),
    "GraphSAGE": lambda width: pyg.GraphSAGE(width, width, 3),
    "GraphSAGE, project": lambda width: pyg.GraphSAGE(width, width, 3, project=True),
    "GIN": lambda width: pyg.GIN(width, width, 3),
}


class MKLLinear(nn.Module):
    """A linear layer whose sparse weight MKL multiplies."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight.to_sparse_csr(), layer.bias

    def forward(self, x: Tensor) -> Tensor:
        out = torch.sparse.mm(self.weight, x.t()).t()
        return out if self.bias is None else out + self.bias


def pruned(model: nn.Module, zeros: float) -> nn.Module:
    """A copy with as many zeros at random in each weight."""
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(torch.rand_like(weight) >= zeros)
    return model


def with_mkl(model: nn.Module) -> nn.Module:
    """A copy with all linear layers replaced."""
    model = copy.deepcopy(model)
    for part in list(model.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.Linear | pyg.Linear):
                setattr(part, name, MKLLinear(child))
    return model


def keep_freed_memory() -> None:
    """Tells glibc to return no memory to the system."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            library.mallopt(option, 2**30)


def measure(name: str, graph: Tensor, x: Tensor, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of all variants, and the ratios of the dense model to them."""
    model = MODELS[name](x.size(1)).eval()
    variants = {"dense": model}
    if options.torch_compile:
        variants["torch.compile"] = torch.compile(model)
    for zeros in ZEROS:
        sparse = pruned(model, zeros)
        variants[f"{zeros:.0%}"] = compiled = compile_sparse(sparse)
        variants[f"{zeros:.0%} mkl"] = with_mkl(sparse)
        assert all(part.is_sparse for part in compile_report(compiled))
        torch.testing.assert_close(compiled(x, graph), sparse(x, graph), rtol=1e-4, atol=1e-4)
    runs = {key: (lambda m=m: m(x, graph)) for key, m in variants.items()}
    taken = seconds(runs, options.rounds)
    return {
        "ms": {key: 1e3 * statistics.median(values) for key, values in taken.items()},
        "times_faster": {
            key: statistics.median(d / v for d, v in zip(taken["dense"], values, strict=True))
            for key, values in taken.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--nodes", type=int, default=2_000)
    parser.add_argument("--degree", type=int, default=4, help="mean number of neighbours, even")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep-memory", action="store_true")
    parser.add_argument("--torch-compile", action="store_true")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    if options.keep_memory:
        keep_freed_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    edge_index = barabasi_albert_graph(options.nodes, options.degree // 2)
    size = (options.nodes, options.nodes)
    graphs = {
        "adj_t": to_torch_csr_tensor(edge_index.flip(0), size=size),
        "edge_index": edge_index,
    }
    x = torch.randn(options.nodes, options.width)
    results = []
    print(f"kernels: {kernels()}, {options.threads} threads, {edge_index.size(1)} edges")
    for name in options.models:
        for form, graph in graphs.items():
            with torch.inference_mode():
                row = measure(name, graph, x, options)
            results.append({"model": name, "graph": form, **row})
            cells = [
                f"{key}: {ms:.1f} ms ({row['times_faster'][key]:.2f})"
                for key, ms in row["ms"].items()
            ]
            print(f"{name}, {form}: " + ", ".join(cells), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
