"""A method of one's own: one subclass, registered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import METHODS, Mask, masked_parameters, register_method, sparsify

EVERY = 3


@pytest.fixture
def method() -> Iterator[type[Mask]]:
    @register_method("closest")
    class ClosestMask(Mask):
        """Keeps the weights closest to one, and sets those that were not kept before to one."""

        before: Tensor
        updates: list[float]

        def ranking(self, weight: Tensor) -> Tensor:
            return self.pool(-(weight - 1).abs())

        def needs_dense_grad(self, before_update: bool) -> bool:
            return before_update

        def begin_update(self, drop_fraction: float) -> None:
            self.before = self.mask.clone()
            self.updates = [*getattr(self, "updates", []), drop_fraction]

        @torch.no_grad()
        def end_update(self, weight: Tensor, optimizer: torch.optim.Optimizer | None) -> None:
            weight[self.mask & ~self.before] = 1

    yield ClosestMask
    del METHODS["closest"]


def test_a_method_of_ones_own(method: type[Mask]) -> None:
    torch.manual_seed(0)
    model = nn.Linear(20, 10)
    controller = sparsify(
        model, 0.75, method="closest", update_every=EVERY, drop_fraction=0.2, score_scale="none"
    )
    (entry,) = masked_parameters(model)
    assert type(entry.parametrization) is method
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for step in range(1, 4 * EVERY + 1):
        mask = entry.parametrization
        assert mask.needs_dense_grad(mask.before_update) is (step % EVERY == 0)
        optimizer.zero_grad()
        model(torch.randn(8, 20)).square().sum().backward()
        optimizer.step()
        before, weight = entry.mask.clone(), entry.weight.detach().clone()
        controller.step(optimizer)
        if step % EVERY:
            assert entry.mask.equal(before) and entry.weight.equal(weight)
            continue
        distance = (weight - 1).abs()
        assert distance[entry.mask].max() <= distance[~entry.mask].min()
        assert entry.mask.sum() == 200 - round(0.75 * 199)
        grown = entry.mask & ~before
        assert (entry.weight[grown] == 1).all()
        assert entry.weight[~grown].equal(weight[~grown])
    # The first masks, and four updates.
    assert entry.parametrization.updates == [0.2] * 5
    controller.finalize()
    assert int(torch.count_nonzero(model.weight)) == 200 - round(0.75 * 199)


def test_a_name_is_given_once(method: type[Mask]) -> None:
    with pytest.raises(ValueError, match="'closest' is registered already"):
        register_method("closest")
    with pytest.raises(InputError, match=r"'farthest' is unknown; choose one of .*closest"):
        sparsify(nn.Linear(2, 2), 0.5, method="farthest")
