"""Dense engines that run the ONNX file of a model: ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.example_clips import random_clips
from pyg_stgcn.runtime.export_files import missing_packages, save_onnx

#: A forward pass: ``x``, ``batch`` and ``batch_size`` to logits.
Runner = Callable[[Tensor, Tensor, int], Tensor]

#: Backends of this module.
DENSE_ENGINES = ("onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8")

#: Instructions for low precision by their flag in ``/proc/cpuinfo``, the fastest first.
_INSTRUCTIONS = {
    "bf16": {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"},
    "int8": {
        "amx_int8": "AMX",
        "avx512_vnni": "AVX-512 VNNI",
        "avx_vnni": "AVX-VNNI",
        "i8mm": "I8MM",
        "asimddp": "dot products of NEON",
    },
}
_CPU = Path("/proc/cpuinfo")
_QUANTIZED = ["Conv", "MatMul", "Gemm"]
#: Batches of two clips of two persons that show the ranges of the features.
_CALIBRATION_BATCHES = 4
_CALIBRATION_FRAMES = 64


def why_not_engine(backend: str, device: torch.device) -> str:
    """The reason why a dense engine is not available here, and the remedy; empty where it is."""
    if device.type != "cpu":
        return "is measured on the CPU only"
    engine, _, precision = backend.partition("-")
    packages = ["onnx", "onnxscript"]
    if engine == "onnx" or precision == "int8":  # ONNX Runtime quantizes for both
        packages.append("onnxruntime")
    if engine == "openvino":
        packages.append("openvino")
    if missing := missing_packages(*packages):
        return f"needs {missing}"
    if precision and not engine_instructions(backend):
        names = ", ".join(_INSTRUCTIONS[precision].values())
        return f"needs a CPU with one of {names}, as /proc/cpuinfo would show it"
    return ""


def engine_instructions(backend: str) -> str:
    """Names the instructions of this CPU that serve the low precision of a backend.

    Empty for backends in float32, for CPUs without such instructions, and outside of Linux.
    """
    known = _INSTRUCTIONS.get(backend.partition("-")[2], {})
    flags = _cpu_flags() if known else set()
    return next((name for flag, name in known.items() if flag in flags), "")


def _cpu_flags() -> set[str]:
    try:
        lines = _CPU.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    found = (line.partition(":") for line in lines)
    return {flag for key, _, text in found if _is_flags(key) for flag in text.split()}


def _is_flags(key: str) -> bool:
    return key.strip() in ("flags", "Features")  # of x86, and of ARM


def make_engine(backend: str, model: nn.Module, folder: Path, keep_memory: bool = True) -> Runner:
    """A function that runs a trained model by a dense engine.

    Args:
        backend: One of :data:`DENSE_ENGINES`.
        model: The trained model, with masks or without.
        folder: Folder for the ONNX files; those that it has are taken for files of this model.
        keep_memory: Let ONNX Runtime keep its memory from one pass to the next.
    """
    engine, _, precision = backend.partition("-")
    path = folder / "model.onnx"
    if not path.exists():
        save_onnx(path, model)
    if precision == "int8":
        path = _quantized(path, model)
    if engine == "onnx":
        return _onnx_session(path, keep_memory)
    # OpenVINO cannot mix int8 with bfloat16 in all models.
    return _openvino_requests(path, "bf16" if precision == "bf16" else "f32")


def _quantized(path: Path, model: nn.Module) -> Path:
    """The file with convolutions and products in int8, calibrated on clips of noise."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    result = path.with_name("int8.onnx")
    if result.exists():
        return result
    assert isinstance(model, Backbone | Assembly)
    prepared = path.with_name("prepared.onnx")
    # Shapes are inferred by ONNX itself; the symbolic way would need SymPy.
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        result,
        _Calibration(model),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_QUANTIZED,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return result


class _Calibration:
    """Clips for the ranges of the features, in the form that ONNX Runtime asks for."""

    def __init__(self, model: Backbone | Assembly) -> None:
        self.batches = self._clips(model)

    def _clips(self, model: Backbone | Assembly) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        for _ in range(_CALIBRATION_BATCHES):
            x, batch, _ = random_clips(model, 2, 2, _CALIBRATION_FRAMES)
            yield {"x": x.numpy(), "batch": batch.numpy()}

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        return next(self.batches, None)


def _onnx_session(path: Path, keep_memory: bool) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.enable_cpu_mem_arena = keep_memory
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        return torch.from_numpy(session.run(None, {"x": x.numpy(), "batch": batch.numpy()})[0])

    return run


def _openvino_requests(path: Path, precision: str) -> Runner:
    import openvino

    core = openvino.Core()
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    requests: dict[tuple[int, ...], Any] = {}

    def run(x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        size = tuple(x.shape)
        if size not in requests:  # a model of one size is faster
            model = core.read_model(path)
            model.reshape({"x": list(size), "batch": [size[0]]})
            requests[size] = core.compile_model(model, "CPU", options).create_infer_request()
        found = requests[size].infer({"x": x.numpy(), "batch": batch.numpy()})
        return torch.from_numpy(found["logits"].copy())

    return run
