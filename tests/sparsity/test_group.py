from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import ControllerGroup, make_schedule, masked_parameters, sparsify

LEVELS = (0.6, 0.95)
STEPS, RAMP_END = 8, 6


def make(method: str = "feedback") -> tuple[nn.ModuleList, ControllerGroup, torch.optim.Optimizer]:
    modules = nn.ModuleList(nn.Sequential(nn.Linear(9, 20), nn.Linear(20, 15)) for _ in LEVELS)
    controllers = [
        sparsify(
            module,
            level,
            method=method,
            schedule=make_schedule("cubic", level, STEPS, ramp_end=RAMP_END),
        )
        for module, level in zip(modules, LEVELS, strict=True)
    ]
    optimizer = torch.optim.SGD(modules.parameters(), lr=0.1, momentum=0.9)
    return modules, ControllerGroup(controllers), optimizer


def train(
    modules: nn.ModuleList, group: ControllerGroup, optimizer: torch.optim.Optimizer, x: Tensor
) -> None:
    optimizer.zero_grad()
    sum(module(x).square().mean() for module in modules).backward()
    optimizer.step()
    group.step(optimizer)


def num_zeros(module: nn.Module) -> int:
    return sum(int((~entry.mask).sum()) for entry in masked_parameters(module))


def test_each_module_has_its_own_sparsity_after_every_step() -> None:
    modules, group, optimizer = make()
    numel = 9 * 20 + 20 * 15
    for step in range(1, STEPS + 1):
        train(modules, group, optimizer, torch.randn(4, 9))
        ramp = 1 - (1 - min(step / RAMP_END, 1)) ** 3
        expected = [round(level * ramp * (numel - 1)) for level in LEVELS]
        assert [num_zeros(module) for module in modules] == expected
        assert group.sparsity == pytest.approx(sum(expected) / (2 * numel))
        assert group.at_final_sparsity == (step >= RAMP_END)
    before = [[layer.weight.clone() for layer in module] for module in modules]
    group.finalize()
    for module, weights in zip(modules, before, strict=True):
        assert not masked_parameters(module)
        assert all(torch.equal(layer.weight, w) for layer, w in zip(module, weights, strict=True))


def test_weights_of_dense_modules_count() -> None:
    modules, group, _ = make()
    group = ControllerGroup(group.controllers, unmasked=520)
    with group.at_target():
        expected = sum(num_zeros(module) for module in modules) / (2 * 480 + 520)
        assert group.sparsity == pytest.approx(expected)


def test_all_stand_at_their_targets_within_the_context() -> None:
    modules, group, _ = make()
    started = [num_zeros(module) for module in modules]
    with group.at_target():
        assert [num_zeros(module) for module in modules] == [round(s * 479) for s in LEVELS]
    assert [num_zeros(module) for module in modules] == started


@pytest.mark.parametrize("method", ["feedback", "score", "set"])
def test_goes_on_as_if_it_had_never_stopped(method: str) -> None:
    batches = [torch.randn(4, 9) for _ in range(STEPS)]
    parts = make(method)
    for x in batches[:3]:
        train(*parts, x)
    saved = copy.deepcopy([part.state_dict() for part in parts])
    for x in batches[3:]:
        train(*parts, x)
    resumed = make(method)
    for part, state in zip(resumed, saved, strict=True):
        part.load_state_dict(state)
    for x in batches[3:]:
        train(*resumed, x)
    expected, found = parts[0].state_dict(), resumed[0].state_dict()
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        ControllerGroup([])
