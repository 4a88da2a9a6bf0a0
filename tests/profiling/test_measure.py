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
from pyg_stgcn.profiling.backends import make_runner, why_not_backend
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


@pytest.mark.parametrize("backend", ["eager", "onnx", "torch-sparse", "runtime"])
def test_all_backends_give_the_same_outputs(backend: str) -> None:
    if reason := why_not_backend(backend, CPU):
        pytest.skip(reason)
    model = masked()
    clips = random_clips(model, 3, 2, 12)
    with torch.inference_mode():
        torch.testing.assert_close(
            make_runner(backend, model)(*clips), model(*clips), rtol=1e-4, atol=1e-5
        )


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
    with pytest.raises(InputError, match="'fast' is unknown; use one of eager, compile"):
        make_runner("fast", masked())


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
