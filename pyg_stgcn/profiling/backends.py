"""The backends that can run a trained model."""

from __future__ import annotations

from pathlib import Path

import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.models.shrinking import has_pruned_channels, shrink
from pyg_stgcn.nn.sparse_products import has_products
from pyg_stgcn.profiling.dense_engines import DENSE_ENGINES, Runner, make_engine, why_not_engine
from pyg_stgcn.profiling.engine_backend import make_library_runner, why_not_library
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.native import kernels, why_not
from pyg_stgcn.runtime.products import SparseProducts
from pyg_stgcn.runtime.semi_structured import semi_structured, why_not_semi_structured

BACKENDS = (
    "eager",
    "shrunk",
    "compile",
    *DENSE_ENGINES,
    "torch-sparse",
    "2:4",
    "runtime",
    "engine",
)


def why_not_backend(
    backend: str, device: torch.device, model: Backbone | Assembly | None = None
) -> str:
    """The reason why a backend is not available here, and the remedy; empty where it is.

    Args:
        backend: One of :data:`BACKENDS`.
        device: Device of the model.
        model: The trained model (default: any that the backend can run).
    """
    if backend == "engine":
        return why_not_library(device, model)
    if backend in DENSE_ENGINES:
        return why_not_engine(backend, device)
    if backend == "torch-sparse" or (backend == "runtime" and device.type != "cpu"):
        return "" if has_products(device) else f"needs torch-sparse compiled for {device.type}"
    if backend == "runtime" and kernels() is None:
        return f"has no kernels here: {why_not()}"
    if backend == "2:4":
        return why_not_semi_structured(device, model=model)
    if backend == "compile":
        return _why_not_compile(device)
    if backend == "shrunk" and model is not None and not has_pruned_channels(model):
        return "needs a quarter of all channels pruned; train with --structure channel"
    return ""


def _why_not_compile(device: torch.device) -> str:
    try:
        torch.compile(torch.neg)(torch.zeros(2, device=device))
    except RuntimeError as error:
        return f"does not work here ({str(error).strip().splitlines()[0]})"
    return ""


def make_runner(
    backend: str, model: Backbone | Assembly, folder: Path, keep_memory: bool = True
) -> Runner:
    """A function that runs a trained model by a backend.

    Args:
        backend: One of :data:`BACKENDS`.
        model: The trained model, with masks or without.
        folder: Folder for the files of the model, the same for all backends of a model.
        keep_memory: Let ONNX Runtime and the engine keep memory from one pass to the next.

    Raises:
        InputError: If the backend is unknown.
    """
    if backend in ("compile", *DENSE_ENGINES) and has_pruned_channels(model):
        model = shrink(model)
    if backend in DENSE_ENGINES:
        return make_engine(backend, model, folder, keep_memory)
    if backend == "shrunk":
        return shrink(model)
    if backend == "engine":
        return make_library_runner(model, keep_memory)
    if backend == "runtime":
        return compile_sparse(model)
    if backend == "2:4":
        return semi_structured(model)
    plain = copy_plain(model)
    if backend == "eager":
        return plain
    if backend == "torch-sparse":
        return SparseProducts(plain)
    if backend == "compile":
        torch.compiler.reset()  # torch stops compiling after a few sizes
        return torch.compile(plain, dynamic=False)
    raise InputError(f"backend {backend!r} is unknown; use one of {', '.join(BACKENDS)}")
