"""The choice of backends to measure; the measurement of a run is tested with its command."""

from __future__ import annotations

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation import run_backends
from pyg_stgcn.profiling.backends import BACKENDS

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"onnx": "needs onnxruntime"}
    monkeypatch.setattr(
        run_backends, "why_not_backend", lambda backend, device: reasons.get(backend, "")
    )


def test_all_available_ones_by_default() -> None:
    told: list[str] = []
    chosen = run_backends._chosen(None, CPU, told.append)
    assert chosen == [backend for backend in BACKENDS if backend != "onnx"]
    assert told == ["left out: onnx, which needs onnxruntime"]


def test_a_named_one_must_be_available() -> None:
    assert run_backends._chosen(["runtime", "eager"], CPU, pytest.fail) == ["runtime", "eager"]
    with pytest.raises(InputError, match="'onnx': needs onnxruntime; leave it out"):
        run_backends._chosen(["eager", "onnx"], CPU, pytest.fail)
