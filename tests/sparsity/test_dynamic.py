"""Methods that replace weights, and random masks."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.sparsity import SparsityController, make_schedule, masked_parameters, sparsify

DYNAMIC = ("rigl", "set")
EVERY, STEPS = 5, 23


def make(method: str, seed: int = 0, **options: Any) -> tuple[nn.Module, SparsityController]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 8))
    settings: dict[str, Any] = {"update_every": EVERY, "min_density": 0.0} | options
    return model, sparsify(model, 0.8, method=method, **settings)


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)


def masks(model: nn.Module) -> list[Tensor]:
    return [entry.mask.clone() for entry in masked_parameters(model)]


def loss(model: nn.Module, step: int) -> Tensor:
    x = torch.randn(16, 12, generator=torch.Generator().manual_seed(step))
    return (model(x) - x[:, :8].sin()).square().mean()


def train(
    model: nn.Module, controller: SparsityController, optim: torch.optim.SGD, steps: range
) -> None:
    for step in steps:
        optim.zero_grad()
        loss(model, step).backward()
        optim.step()
        controller.step(optim)


@pytest.mark.parametrize("allocation", ["uniform", "erk", "global"])
@pytest.mark.parametrize("method", DYNAMIC)
def test_masks_change_at_updates_only_and_keep_their_number(method: str, allocation: str) -> None:
    model, controller = make(method, allocation=allocation)
    optim = sgd(model)
    changed = []
    for step in range(STEPS):
        before = masks(model)
        train(model, controller, optim, range(step, step + 1))
        after = masks(model)
        assert sum(map(torch.count_nonzero, after)) == sum(map(torch.count_nonzero, before))
        if allocation != "global":
            for one, other in zip(before, after, strict=True):
                assert one.sum() == other.sum()
        if any(not one.equal(other) for one, other in zip(before, after, strict=True)):
            changed.append(step + 1)
    assert changed == [5, 10, 15, 20]


@pytest.mark.parametrize("method", DYNAMIC)
def test_the_smallest_are_replaced_and_grown_weights_start_at_zero(method: str) -> None:
    model, controller = make(method, drop_fraction=0.4)
    optim = sgd(model)
    train(model, controller, optim, range(EVERY - 1))
    optim.zero_grad()
    loss(model, EVERY).backward()
    optim.step()
    before = [(entry.weight.clone(), entry.mask.clone()) for entry in masked_parameters(model)]
    controller.step(optim)
    for entry, (weight, mask) in zip(masked_parameters(model), before, strict=True):
        magnitudes = weight[mask].abs().sort().values
        num_dropped = int(0.4 * len(magnitudes))
        stays = mask & (weight.abs() >= magnitudes[num_dropped])
        assert stays.sum() == len(magnitudes) - num_dropped
        assert entry.mask[stays].all(), "those that are not among the smallest stay"
        grown = entry.mask & ~mask
        assert grown.any()
        assert (entry.weight[grown] == 0).all()
        assert (optim.state[entry.weight]["momentum_buffer"][grown] == 0).all()
        untouched = entry.mask & mask
        assert entry.weight[untouched].equal(weight[untouched])
        assert optim.state[entry.weight]["momentum_buffer"][stays].any()


def test_rigl_grows_where_the_dense_gradient_is_largest() -> None:
    model, controller = make("rigl", drop_fraction=0.4)
    optim = sgd(model)
    train(model, controller, optim, range(EVERY - 1))
    dense = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 8))
    folded = copy.deepcopy(model)
    SparsityController(folded).finalize()
    dense.load_state_dict(folded.state_dict())
    loss(dense, EVERY - 1).backward()
    before = masks(model)
    train(model, controller, optim, range(EVERY - 1, EVERY))
    for entry, mask, layer in zip(
        masked_parameters(model), before, (dense[0], dense[2]), strict=True
    ):
        gradient = layer.weight.grad.abs()
        grown = entry.mask & ~mask
        passed_over = ~entry.mask
        assert gradient[grown].min() >= gradient[passed_over].max()


def test_pruned_weights_get_no_gradient_even_before_an_update_of_rigl() -> None:
    model, controller = make("rigl")
    optim = sgd(model)
    for step in range(2 * EVERY):
        optim.zero_grad()
        loss(model, step).backward()
        for entry in masked_parameters(model):
            assert not entry.weight.grad[~entry.mask].any()
            assert entry.weight.grad[entry.mask].any()
        optim.step()
        controller.step(optim)


@pytest.mark.parametrize("method", [*DYNAMIC, "random"])
def test_the_first_mask_is_random_and_follows_the_seed(method: str) -> None:
    one, other, third = (masks(make(method, seed)[0]) for seed in (0, 0, 1))
    for a, b, c in zip(one, other, third, strict=True):
        assert a.equal(b)
        assert not a.equal(c)
    torch.manual_seed(0)
    layer = nn.Linear(300, 300)
    sparsify(layer, 0.5, method=method)
    (entry,) = masked_parameters(layer)
    magnitude = entry.weight.detach().abs()
    # 45,000 draws: the mean of the kept is that of all, to within a percent or so.
    assert magnitude[entry.mask].mean().item() == pytest.approx(magnitude.mean().item(), rel=0.02)


def test_set_grows_others_each_time() -> None:
    model, controller = make("set", drop_fraction=1.0)
    seen = [masks(model)]
    for _ in range(3):
        controller.update()
        seen.append(masks(model))
    for one, other in itertools.pairwise(seen):
        assert all(not a.equal(b) for a, b in zip(one, other, strict=True))


def test_the_fraction_to_replace_falls_along_a_cosine() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(100, 100, bias=False)
    controller = sparsify(
        layer, 0.5, method="set", update_every=10, freeze_after=40, drop_fraction=0.4
    )
    optim = torch.optim.SGD(layer.parameters(), lr=0.0)
    replaced = []
    for step in range(1, 61):
        before = masks(layer)[0]
        layer(torch.randn(2, 100)).sum().backward()
        controller.step(optim)
        if step % 10 == 0:
            replaced.append(int((masks(layer)[0] & ~before).sum()))
    # Of d dropped out of 5,000, some grow again at once, which the masks do not show.
    dropped = [0.2 * (1 + math.cos(math.pi * k / 4)) for k in (1, 2, 3)]
    for fraction, seen in zip(dropped, replaced, strict=False):
        d = fraction * 5000
        assert seen == pytest.approx(d * 5000 / (5000 + d), rel=0.1)
    assert replaced[3:] == [0, 0, 0]


def test_random_masks_nest_along_a_ramp_and_ignore_the_weights() -> None:
    schedule = make_schedule("linear", 0.8, 20, ramp_end=20)
    model, controller = make("random", schedule=schedule, update_every=1)
    optim = sgd(model)
    before = masks(model)
    for step in range(20):
        train(model, controller, optim, range(step, step + 1))
        after = masks(model)
        assert all(not (b & ~a).any() for a, b in zip(before, after, strict=True))
        before = after
    assert controller.sparsity == pytest.approx(0.8, abs=2 / 600)
    final = masks(model)
    with torch.no_grad():
        for entry in masked_parameters(model):
            entry.weight.normal_()
    controller.update()
    assert all(a.equal(b) for a, b in zip(masks(model), final, strict=True))


def test_masks_between_updates_end_on_the_schedule() -> None:
    schedule = make_schedule("cubic", 0.8, 23, ramp_end=22)
    model, controller = make("magnitude", schedule=schedule, update_every=10)
    optim = sgd(model)
    train(model, controller, optim, range(23))
    numel = sum(mask.numel() for mask in masks(model))
    assert controller.sparsity == pytest.approx(schedule(20), abs=1 / numel)
    controller.finalize()
    zeros = sum(int((layer.weight == 0).sum()) for layer in (model[0], model[2]))
    assert zeros / numel == pytest.approx(0.8, abs=2 / numel)


def test_a_gradient_that_overflows_does_not_make_rigl_dense() -> None:
    model, controller = make("rigl")
    before = controller.sparsity
    optim = sgd(model)
    train(model, controller, optim, range(EVERY - 1))
    optim.zero_grad()
    (loss(model, EVERY) * float("inf")).backward()
    controller.step(optim)
    assert controller.sparsity == before
