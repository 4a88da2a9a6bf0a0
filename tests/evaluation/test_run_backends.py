"""The choice of backends to measure; the measurement of a run is tested with its command."""

from __future__ import annotations

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation import run_backends
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.profiling.backends import BACKENDS
from tests.reference.small_models import short

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"onnx": "needs onnxruntime"}
    monkeypatch.setattr(
        run_backends, "why_not_backend", lambda backend, device, model: reasons.get(backend, "")
    )


@pytest.fixture(scope="module")
def model() -> Backbone:
    return short("stgcn", 5)


def test_all_available_ones_by_default(model: Backbone) -> None:
    told: list[str] = []
    chosen = run_backends._chosen(None, model, CPU, told.append)
    assert chosen == [backend for backend in BACKENDS if backend != "onnx"]
    assert told == ["left out: onnx, which needs onnxruntime"]


def test_a_named_one_must_be_available(model: Backbone) -> None:
    named = ["runtime", "eager"]
    assert run_backends._chosen(named, model, CPU, pytest.fail) == named
    with pytest.raises(InputError, match="'onnx': needs onnxruntime; leave it out"):
        run_backends._chosen(["eager", "onnx"], model, CPU, pytest.fail)
