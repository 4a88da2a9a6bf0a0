"""The backends that can run a trained model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.example_clips import random_clips
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.fold import copy_plain
from pyg_stgcn.runtime.native import kernels, why_not
from pyg_stgcn.runtime.portable import PortableModel, missing_packages, save_onnx
from pyg_stgcn.runtime.products import SparseProducts, has_products

BACKENDS = ("eager", "compile", "onnx", "torch-sparse", "runtime")


@dataclass(frozen=True)
class Clips:
    """The same clips of noise as the arguments of a backbone and as one tensor.

    Args:
        tensors: For :class:`~pyg_stgcn.models.backbone.Backbone`.
        x: For :class:`~pyg_stgcn.runtime.PortableModel`, ``[N, M, T, V, C]``.
        num_persons: How many there are of each, ``[N]``.
    """

    tensors: tuple[Tensor, Tensor, int]
    x: Tensor
    num_persons: Tensor

    @classmethod
    def of(cls, model: Backbone | Assembly, clips: int, persons: int, frames: int) -> Clips:
        """Clips that a model accepts."""
        tensors = random_clips(model, clips, persons, frames)
        joints = model.skeleton.num_joints
        x = tensors[0].view(clips, persons, joints, frames, -1).transpose(2, 3).contiguous()
        return cls(tensors, x, torch.full((clips,), persons, device=x.device))


Runner = Callable[[Clips], Tensor]


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


def make_runner(backend: str, model: nn.Module, frames: int, keep_memory: bool = True) -> Runner:
    """A function that runs a trained model by a backend.

    Args:
        backend: One of :data:`BACKENDS`.
        model: The trained model, with masks or without.
        frames: Frames of the clips.
        keep_memory: Let onnxruntime keep its memory from one pass to the next.

    Raises:
        InputError: If the backend is unknown.
    """
    if backend == "compile":
        return _compiled(model)
    if backend == "onnx":
        return _onnx_session(model, frames, keep_memory)
    if backend == "eager":
        module: nn.Module = copy_plain(model)
    elif backend == "torch-sparse":
        module = SparseProducts(copy_plain(model))
    elif backend == "runtime":
        module = compile_sparse(model)
    else:
        raise InputError(f"backend {backend!r} is unknown; use one of {', '.join(BACKENDS)}")
    return lambda clips: module(*clips.tensors)


def _compiled(model: nn.Module) -> Runner:
    # Torch stops compiling after a few sizes.
    torch.compiler.reset()
    compiled = torch.compile(PortableModel(model), dynamic=False)
    return lambda clips: compiled(clips.x, clips.num_persons)


def _onnx_session(model: nn.Module, frames: int, keep_memory: bool) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.enable_cpu_mem_arena = keep_memory
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save_onnx(path, model, frames)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(clips: Clips) -> Tensor:
        given = {"x": clips.x.numpy(), "num_persons": clips.num_persons.numpy()}
        return torch.from_numpy(session.run(None, given)[0])

    return run
