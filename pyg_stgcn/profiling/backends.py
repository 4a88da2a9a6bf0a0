"""The backends that can run a trained model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.export_files import missing_packages, save_onnx
from pyg_stgcn.runtime.fold import copy_plain
from pyg_stgcn.runtime.native import kernels, why_not
from pyg_stgcn.runtime.products import SparseProducts, has_products

BACKENDS = ("eager", "compile", "onnx", "torch-sparse", "runtime")


#: A forward pass: ``x``, ``batch`` and ``batch_size`` to logits.
Runner = Callable[[Tensor, Tensor, int], Tensor]


def why_not_backend(backend: str, device: torch.device) -> str:
    """The reason why a backend is not available here, and the remedy; empty where it is."""
    if backend == "onnx":
        if missing := missing_packages("onnx", "onnxscript", "onnxruntime"):
            return f"needs {missing}"
        return "is measured on the CPU only" if device.type != "cpu" else ""
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


def make_runner(backend: str, model: nn.Module, keep_memory: bool = True) -> Runner:
    """A function that runs a trained model by a backend.

    Args:
        backend: One of :data:`BACKENDS`.
        model: The trained model, with masks or without.
        keep_memory: Let onnxruntime keep its memory from one pass to the next.

    Raises:
        InputError: If the backend is unknown.
    """
    if backend == "onnx":
        return _onnx_session(model, keep_memory)
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


def _onnx_session(model: nn.Module, keep_memory: bool) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.enable_cpu_mem_arena = keep_memory
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_onnx(path, model)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        return torch.from_numpy(session.run(None, {"x": x.numpy(), "batch": batch.numpy()})[0])

    return run
