"""The group lasso on weights that will be pruned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import GroupLasso, make_schedule, masked_parameters, sparsify
from pyg_stgcn.sparsity.penalty import GROUPS


def make(method: str = "magnitude", sparsity: float = 0.75, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, (3, 1)), nn.Flatten(), nn.Linear(12, 5)).double()
    schedule = make_schedule("step", sparsity, 20, warmup=10)
    return model, sparsify(model, sparsity, method=method, schedule=schedule, **options)


def by_hand(model: nn.Module, sparsity: float, groups: str) -> float:
    """From the definition, weight by weight, for uniform allocation by magnitude."""
    to_prune = []
    sizes = [entry.weight.numel() for entry in masked_parameters(model)]
    for entry, size in zip(masked_parameters(model), sizes, strict=True):
        weight = entry.weight.detach().numpy().copy()
        kept = np.argsort(np.abs(weight).ravel())[round(sparsity * size) :]
        weight.ravel()[kept] = 0
        to_prune.append(weight)
    if groups == "all":
        parts = [np.concatenate([weight.ravel() for weight in to_prune])]
    elif groups == "layer":
        parts = [weight.ravel() for weight in to_prune]
    elif groups == "filter":
        parts = [row.ravel() for weight in to_prune for row in weight]
    else:
        parts = [w[:, i].ravel() for w in to_prune for i in range(w.shape[1])]
    return sum(np.sqrt(part.size) * np.sqrt((part**2).sum()) for part in parts)


@pytest.mark.parametrize("groups", GROUPS)
def test_value(groups: str) -> None:
    model, controller = make(allocation="uniform")
    # 72 and 60 weights: round(0.75 * 131) = 98 are 53 and 45, up to the last one.
    penalty = GroupLasso(controller, 0.3, groups)
    controller.num_steps = 5
    pruned = [int((~mask).sum()) for mask in controller.masks_at_target()]
    assert sum(pruned) == 98
    expected = by_hand(model, 0.75, groups)
    assert penalty().item() == pytest.approx(0.3 * 5 / 10 * expected, rel=0.02)


@pytest.mark.parametrize("groups", GROUPS)
def test_gradient_pulls_at_weights_to_prune_only(groups: str) -> None:
    model, controller = make("score")
    penalty = GroupLasso(controller, 0.1, groups)
    controller.num_steps = 9
    masks = controller.masks_at_target()
    weights = [entry.weight for entry in masked_parameters(model)]
    penalty().backward()
    for weight, mask, entry in zip(weights, masks, masked_parameters(model), strict=True):
        assert not weight.grad[mask].any()
        assert (weight.grad[~mask].sign() == weight.detach()[~mask].sign()).all()
        assert entry.parametrization.score.grad is None
        assert entry.mask.all(), "the masks themselves have not moved"
    # Against finite differences, at one to_prune weight of each layer.
    for weight, mask in zip(weights, masks, strict=True):
        place = tuple((~mask).nonzero()[0].tolist())
        with torch.no_grad():
            weight[place] += 1e-6
            above = penalty().item()
            weight[place] -= 2e-6
            below = penalty().item()
            weight[place] += 1e-6
        assert (above - below) / 2e-6 == pytest.approx(weight.grad[place].item(), rel=1e-5)


def test_ramp() -> None:
    _, controller = make()
    penalty = GroupLasso(controller, 0.2)
    weights = []
    for step in (0, 1, 5, 9, 10, 15):
        controller.num_steps = step
        weights.append(penalty.weight)
        assert (penalty() > 0) == (0 < step < 10)
    assert weights == pytest.approx([0, 0.02, 0.1, 0.18, 0, 0])


def test_weights_to_prune_fade_before_the_step() -> None:
    faded = []
    for strength in (0.0, 0.1):
        model, controller = make("magnitude")
        penalty = GroupLasso(controller, strength)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(9):
            x = torch.randn(8, 4, 4, 1, generator=torch.Generator().manual_seed(step)).double()
            (model(x[:, :, :4]).square().mean() + penalty()).backward()
            optimizer.step()
            optimizer.zero_grad()
            controller.step()
        masks = controller.masks_at_target()
        entries = zip(masked_parameters(model), masks, strict=True)
        faded.append(sum(entry.weight[~mask].abs().sum().item() for entry, mask in entries))
    assert faded[1] < 0.8 * faded[0]


def test_no_time_no_penalty_and_errors() -> None:
    model = nn.Linear(4, 4)
    controller = sparsify(model, 0.5)
    assert GroupLasso(controller, 1.0)().item() == 0
    with pytest.raises(InputError, match="strength -1 is negative"):
        GroupLasso(controller, -1)
    for strength in (math.nan, math.inf):
        with pytest.raises(InputError, match="not finite"):
            GroupLasso(controller, strength)
    with pytest.raises(InputError, match="filter, input, layer, all"):
        GroupLasso(controller, 1, groups="stage")
    other = sparsify(nn.Linear(4, 4), 0.5, schedule=lambda step: 0.5)
    with pytest.raises(InputError, match="give ramp_end"):
        GroupLasso(other, 1.0)
    assert GroupLasso(other, 1.0, ramp_end=7).ramp_end == 7
