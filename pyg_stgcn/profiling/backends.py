"""The backends that can run a trained model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.profiling.dense_engines import DENSE_ENGINES, Runner, make_engine, why_not_engine
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.fold import copy_plain
from pyg_stgcn.runtime.native import kernels, why_not
from pyg_stgcn.runtime.products import SparseProducts, has_products

BACKENDS = ("eager", "compile", *DENSE_ENGINES, "torch-sparse", "runtime")


def why_not_backend(backend: str, device: torch.device) -> str:
    """The reason why a backend is not available here, and the remedy; empty where it is."""
    if backend in DENSE_ENGINES:
        return why_not_engine(backend, device)
    if backend == "torch-sparse" or (backend == "runtime" and device.type != "cpu"):
        return "" if has_products(device) else f"needs torch-sparse compiled for {device.type}"
    if backend == "runtime" and kernels() is None:
        return f"has no kernels here: {why_not()}"
    if backend == "compile":
        return _why_not_compile(device)
    return ""


def _why_not_compile(device: torch.device) -> str:
    try:
        torch.compile(torch.neg)(torch.zeros(2, device=device))
    except RuntimeError as error:
        return f"does not work here ({str(error).strip().splitlines()[0]})"
    return ""


def make_runner(backend: str, model: nn.Module, folder: Path, keep_memory: bool = True) -> Runner:
    """A function that runs a trained model by a backend.

    Args:
        backend: One of :data:`BACKENDS`.
        model: The trained model, with masks or without.
        folder: Folder for the files of the model, the same for all backends of a model.
        keep_memory: Let ONNX Runtime keep its memory from one pass to the next.

    Raises:
        InputError: If the backend is unknown.
    """
    if backend in DENSE_ENGINES:
        return make_engine(backend, model, folder, keep_memory)
    if backend == "runtime":
        return compile_sparse(model)
    plain = copy_plain(model)
    if backend == "eager":
        return plain
    if backend == "torch-sparse":
        return SparseProducts(plain)
    if backend == "compile":
        torch.compiler.reset()  # torch stops compiling after a few sizes
        return torch.compile(plain, dynamic=False)
    raise InputError(f"backend {backend!r} is unknown; use one of {', '.join(BACKENDS)}")
