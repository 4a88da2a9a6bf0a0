"""Weights and scores that are not numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import (
    METHODS,
    Mask,
    full_masks,
    masked_parameters,
    prune_further,
    register_method,
    sparsify,
)
from pyg_stgcn.sparsity.threshold import keep_highest


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("allocation", ["global", "erk"])
@pytest.mark.parametrize("method", METHODS)
def test_weights_that_are_no_numbers_are_refused_by_name(
    method: str, allocation: str, value: float
) -> None:
    model = network()
    nn.init.constant_(model[2].weight, value)
    options: dict[str, Any] = {"method": method, "allocation": allocation}
    said = r"not finite: 2\.weight \(24 of 24 values, the first is (nan|inf)\).*initialise them"
    with pytest.raises(InputError, match=said):
        sparsify(model, 0.5, **options)
    assert not masked_parameters(model)

    model = network()
    controller = sparsify(model, 0.5, **options)
    with torch.no_grad():
        masked_parameters(model)[0].weight[3, 2] = value
    said = r"not finite: 0\.weight \(1 of 48 values, the first is"
    for choose in (controller.step, controller.masks_at_target, controller.check_finite):
        with pytest.raises(InputError, match=said):
            choose()


def test_scores_that_are_no_numbers_are_refused_by_name() -> None:
    model = network()
    controller = sparsify(model, 0.5, method="score")
    with torch.no_grad():
        masked_parameters(model)[1].parametrization.score.fill_(math.nan)
    with pytest.raises(InputError, match=r"2\.weight, score \(24 of 24 values"):
        controller.step()


def test_frozen_masks_are_not_chosen() -> None:
    model = network()
    controller = sparsify(model, 0.5, freeze_after=1)
    with torch.no_grad():
        controller.step()
        masked_parameters(model)[0].weight.fill_(math.nan)
    before = controller.sparsity
    controller.step()
    assert controller.sparsity == before


def test_tickets_too() -> None:
    model = network()
    masks = full_masks(model)
    nn.init.constant_(model[0].weight, math.nan)
    with pytest.raises(InputError, match=r"not finite: 0\.weight"):
        prune_further(model.state_dict(), masks, 0.5)


def test_a_ranking_of_ones_own() -> None:
    class Undefined(Mask):
        def ranking(self, weight: Tensor) -> Tensor:
            return weight.abs() * math.nan

    class Infinite(Mask):
        def ranking(self, weight: Tensor) -> Tensor:
            return torch.full_like(weight, math.inf)

    try:
        register_method("undefined")(Undefined)
        register_method("infinite")(Infinite)
        with pytest.raises(InputError, match=r"0\.weight: ranking\(\) of Undefined gives NaN"):
            sparsify(network(), 0.5, method="undefined")
        # An infinite importance may mean that a weight must stay.
        controller = sparsify(network(), 0.5, method="infinite", allocation="global", min_density=0)
        assert controller.sparsity == round(0.5 * 71) / 72
    finally:
        METHODS.pop("undefined", None)
        METHODS.pop("infinite", None)


@pytest.mark.parametrize("num_nan", [0, 3, 7, 10])
def test_the_number_is_exact_among_nan(num_nan: int) -> None:
    torch.manual_seed(0)
    keys = torch.randn(10).round()
    keys[:num_nan] = math.nan
    for pruned in range(11):
        kept = keep_highest(keys, pruned)
        assert int((~kept).sum()) == pruned
        # NaN is pruned last.
        assert bool(kept[:num_nan].all()) or not bool(kept[num_nan:].any())
