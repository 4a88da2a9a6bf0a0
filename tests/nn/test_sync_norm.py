from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from pyg_stgcn.models import create_model
from pyg_stgcn.nn import synchronize_norms


@pytest.fixture
def _group(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    distributed.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize("model", ["stgcn", "aagcn"])
def test_of_one_process_they_are_ordinary_norms(model: str) -> None:
    plain = create_model(model, 3, "coco17", base_channels=2, num_stages=2).double()
    synced = synchronize_norms(copy.deepcopy(plain))
    assert synced.state_dict().keys() == plain.state_dict().keys()
    x, batch = 5 + torch.randn(4 * 17, 6, 3).double(), torch.arange(4).repeat_interleave(17) // 2
    for one in (plain, synced):
        one.train()(x, batch).square().sum().backward()
    for (name, value), other in zip(
        plain.state_dict().items(), synced.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(other, value, rtol=1e-6, atol=1e-9, msg=name)
    for (name, weight), other in zip(plain.named_parameters(), synced.parameters(), strict=True):
        torch.testing.assert_close(other.grad, weight.grad, rtol=1e-7, atol=1e-10, msg=name)
    torch.testing.assert_close(
        synced.eval()(x, batch), plain.eval()(x, batch), rtol=1e-6, atol=1e-6
    )


@pytest.mark.usefixtures("_group")
def test_gradients_of_a_synchronised_norm() -> None:
    norm = synchronize_norms(nn.Sequential(nn.BatchNorm2d(3))).double()
    nn.init.normal_(norm[0].weight)
    x = torch.randn(4, 3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))
