from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.example_clips import random_clips
from pyg_stgcn.profiling import dense_engines
from pyg_stgcn.profiling.backends import make_runner, why_not_backend
from pyg_stgcn.profiling.dense_engines import DENSE_ENGINES, engine_instructions
from pyg_stgcn.profiling.measure import Setting, _measurement, compare_backends
from pyg_stgcn.sparsity import sparsify

CPU = torch.device("cpu")


def masked() -> Backbone:
    torch.manual_seed(0)
    model = create_model("stgcn", 5, "ntu25", base_channels=8).eval()
    assert isinstance(model, Backbone)
    # Two of ten stages: exporters are slow.
    model.stages = nn.ModuleList([model.stages[0], model.stages[4]])
    model.num_features = 16
    model.reset_classifier(5)
    sparsify(model.eval(), 0.9, exclude="head.*")
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX files of one model, for all backends."""
    return tmp_path_factory.mktemp("files")


#: Largest difference of the logits, divided by the largest logit; in float32 rounding only.
TOLERANCES = {"bf16": 0.03, "int8": 0.1}


@pytest.mark.parametrize("backend", ["eager", *DENSE_ENGINES, "torch-sparse", "runtime", "engine"])
def test_all_backends_give_the_same_outputs(backend: str, folder: Path) -> None:
    if reason := why_not_backend(backend, CPU):
        pytest.skip(reason)
    model = masked()
    run = make_runner(backend, model, folder)
    tolerance = TOLERANCES.get(backend.rpartition("-")[2], 1e-5)
    for sizes in ((3, 2, 12), (1, 1, 20)):
        clips = random_clips(model, *sizes)
        with torch.inference_mode():
            expected = model(*clips)
            difference = (run(*clips) - expected).abs().max() / expected.abs().max()
        assert difference < tolerance
        if tolerance > 1e-5:
            assert difference > 1e-5  # the low precision is at work


@pytest.mark.parametrize(
    ("flags", "bf16", "int8"),
    [
        ("flags\t\t: fpu avx2", "", ""),
        ("flags\t\t: avx2 avx_vnni", "", "AVX-VNNI"),
        ("flags\t\t: avx512_vnni avx512_bf16", "AVX-512 BF16", "AVX-512 VNNI"),
        ("flags\t\t: avx512_vnni avx512_bf16 amx_int8 amx_bf16", "AMX", "AMX"),
        ("Features\t: fp asimd asimddp", "", "dot products of NEON"),
    ],
)
def test_instructions(
    flags: str, bf16: str, int8: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: avx512_vnni amx_bf16\n{flags}\n")
    monkeypatch.setattr(dense_engines, "_CPU", tmp_path / "cpuinfo")
    monkeypatch.setattr(dense_engines, "missing_packages", lambda *names: "")
    assert engine_instructions("openvino-bf16") == bf16
    assert engine_instructions("onnx-int8") == engine_instructions("openvino-int8") == int8
    assert engine_instructions("openvino") == engine_instructions("onnx") == ""
    assert ("needs a CPU with one of AMX" in why_not_backend("openvino-bf16", CPU)) == (not bf16)
    assert why_not_backend("openvino", CPU) == ""


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_engines, "missing_packages", lambda *names: " ".join(names))
    assert why_not_backend("onnx", CPU) == "needs onnx onnxscript onnxruntime"
    assert why_not_backend("openvino-bf16", CPU) == "needs onnx onnxscript openvino"
    assert why_not_backend("openvino-int8", CPU) == "needs onnx onnxscript onnxruntime openvino"
    assert "CPU only" in why_not_backend("openvino", torch.device("cuda"))


def test_compiling_without_a_compiler(tmp_path: Path) -> None:
    code = """
import torch
from pyg_stgcn.profiling.backends import why_not_backend
print(why_not_backend("compile", torch.device("cpu")))
"""
    nothing = {"CXX": "/nothing/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env={**os.environ, **nothing}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "does not work here" in ran.stdout


def test_unknown_backend() -> None:
    with pytest.raises(InputError, match="'fast' is unknown; use one of eager, shrunk"):
        make_runner("fast", masked(), Path())


@pytest.mark.torch_sparse
def test_comparison() -> None:
    """Every backend in every setting, and memory that grows with the clips."""
    settings = [Setting(1, 4, 2, 50), Setting(1, 1, 1, 50)]
    said: list[str] = []
    found = list(compare_backends(masked(), ["eager", "torch-sparse"], settings, 3, said.append))
    backends = ["eager", "torch-sparse"]
    assert [(entry.backend, entry.setting) for entry in found] == [
        (backend, setting) for setting in settings for backend in backends
    ]
    assert all(entry.fastest <= entry.milliseconds <= entry.slowest for entry in found)
    assert all(entry.ratio == 1 and entry.difference == 0 for entry in found[::2])
    assert all(entry.difference < 1e-5 for entry in found)
    assert "memory of eager" in said
    if sys.platform == "linux":
        large, small = found[0].peak_bytes, found[2].peak_bytes
        # Input and output of the first block are alive at once.
        assert large is not None and large > 4 * 8 * 50 * 25 * (8 + 8)
        assert small is not None and small < large


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    settings = [Setting(before + 1, 1, 1, 4)]
    next(iter(compare_backends(masked(), ["eager"], settings, 1, lambda text: None)))
    assert torch.get_num_threads() == before


def test_measurement_in_closed_form() -> None:
    times = {"eager": [10.0, 20.0, 12.0], "runtime": [1.0, 5.0, 4.0]}
    outputs: dict[str, Tensor] = {
        "eager": torch.tensor([2.0, -4.0]),
        "runtime": torch.tensor([2.0, -3.0]),
    }
    entry = _measurement("runtime", Setting(1, 1, 1, 1), times, outputs, None)
    assert entry.milliseconds == 4
    assert entry.ratio == 4  # of 10, 4 and 3, not that of the medians
    assert (entry.fastest, entry.slowest) == pytest.approx((1.6, 4.8))
    assert (entry.ratio_low, entry.ratio_high) == pytest.approx((3.2, 8.8))
    assert entry.difference == 0.25
    assert entry.to_dict() == {
        "backend": "runtime",
        "threads": 1,
        "clips": 1,
        "persons": 1,
        "frames": 1,
        "milliseconds": 4.0,
        "fastest": entry.fastest,
        "slowest": entry.slowest,
        "ratio": 4.0,
        "ratio_low": entry.ratio_low,
        "ratio_high": entry.ratio_high,
        "difference": 0.25,
        "peak_bytes": None,
    }
