"""Backbones in mixed, half and double precision, against single precision."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pyg_stgcn.models import create_model, list_models, random_clips

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
HALF = [torch.bfloat16, torch.float16]
#: Digits of a precision, and what ten layers may lose of them.
TOLERANCE = {torch.bfloat16: 0.04, torch.float16: 0.005, torch.float64: 1e-5}


@pytest.fixture(scope="module", params=list_models())
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A backbone of three stages whose learnt graphs are far from their start."""
    torch.manual_seed(0)
    options = {"base_channels": 8, "num_stages": 3, "inflate_stages": (2,), "down_stages": (2,)}
    model = create_model(request.param, 5, "coco17", graph="random", **options)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".alpha", ".beta")):
                parameter.fill_(0.5)
        model(*random_clips(model, 3, 2, 8))
    return model.eval()


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found.float() - expected).norm() / expected.norm()).item()


def outputs_and_gradients(
    model: nn.Module, given: tuple[Tensor, ...], dtype: torch.dtype | None
) -> tuple[Tensor, Tensor]:
    device = given[0].device.type
    with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
        logits = model(*given)
        loss = cross_entropy(logits, torch.arange(3, device=device))
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return logits, torch.cat([part.flatten() for part in found if part is not None])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", HALF)
def test_autocast(model: nn.Module, dtype: torch.dtype, device: str) -> None:
    model = copy.deepcopy(model).to(device)
    given = tuple(part.to(device) for part in random_clips(model, 3, 2, 8)[:2])
    expected = outputs_and_gradients(model, given, None)
    found = outputs_and_gradients(model, given, dtype)
    for part, wanted in zip(found, expected, strict=True):
        assert relative_error(part, wanted) < TOLERANCE[dtype]
    # With the statistics of a small batch gradients are ill-conditioned: finite, no more.
    logits, gradients = outputs_and_gradients(model.train(), given, dtype)
    assert logits.isfinite().all() and gradients.isfinite().all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [*HALF, torch.float64])
def test_weights_of_another_precision(model: nn.Module, dtype: torch.dtype, device: str) -> None:
    x, batch, _ = random_clips(model, 3, 2, 8)
    expected = model(x, batch)
    other = copy.deepcopy(model).to(device, dtype)
    logits = other(x.to(device, dtype), batch.to(device))
    assert logits.dtype == dtype
    assert relative_error(logits.cpu(), expected) < TOLERANCE[dtype]
    cross_entropy(logits, torch.arange(3, device=device)).backward()
    assert all(part.grad is None or part.grad.isfinite().all() for part in other.parameters())
