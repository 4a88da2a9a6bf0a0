"""A model computes on a GPU, with few operators, what it computes on a CPU."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.nn import device_path
from pyg_stgcn.sparsity import sparsify

#: The clip of every person: more persons than slots, a clip without persons, a single person.
PERSONS = [[0, 0, 0, 1], [0, 0, 2, 2], [0]]


@pytest.fixture(scope="module", params=list_models())
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A backbone of float64 with random weights, half of them masked, and statistics."""
    torch.manual_seed(0)
    small = {"base_channels": 8, "num_stages": 2, "inflate_stages": (2,), "down_stages": (2,)}
    model = create_model(request.param, 5, "hand21", dropout=0.0, **small).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    sparsify(model, 0.5, edge_sparsity=0.3, method="random")
    return model


def passes(model: nn.Module, persons: list[int], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Outputs in training and evaluation, and the gradients and statistics of the first."""
    model = copy.deepcopy(model).train()
    torch.manual_seed(1)
    x = torch.randn(21 * len(persons), 8, 3, dtype=torch.float64, requires_grad=True)
    batch = torch.tensor(persons).repeat_interleave(21)
    if dtype is not None:
        model, x = model.float(), x.detach().float().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        trained = model(x, batch, max(persons) + 1)
        (trained * torch.arange(trained.numel()).view_as(trained)).sum().backward()
        with torch.inference_mode():
            evaluated = model.eval()(x, batch, max(persons) + 1)
    gradients = {name: part.grad for name, part in model.named_parameters()}
    return {"trained": trained, "evaluated": evaluated, "x": x.grad, **gradients} | {
        f"buffer {name}": value for name, value in model.named_buffers()
    }


@pytest.mark.parametrize("persons", PERSONS, ids=str)
def test_both_computations_agree(
    model: nn.Module, persons: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = passes(model, persons, None)
    monkeypatch.setattr(device_path, "_CHEAP_LAUNCHES", set())
    found = passes(model, persons, None)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-10, msg=name)


def test_both_computations_agree_in_half_precision(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = passes(model, PERSONS[0], None)
    monkeypatch.setattr(device_path, "_CHEAP_LAUNCHES", set())
    found = passes(model, PERSONS[0], torch.bfloat16)
    for name in ("trained", "evaluated"):
        assert (found[name] - expected[name]).norm() < 0.02 * expected[name].norm(), name
