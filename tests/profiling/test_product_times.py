from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, random_clips
from pyg_stgcn.nn import Adjacency
from pyg_stgcn.profiling.product_times import measure_graph_product
from pyg_stgcn.sparsity import sparsify

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def chosen(model: nn.Module) -> set[str]:
    return {part.graph_product for part in model.modules() if isinstance(part, Adjacency)}


@pytest.mark.torch_sparse
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("training", [True, False])
def test_chooses_the_faster_product_and_leaves_the_rest(training: bool, device: str) -> None:
    model = create_model("stgcn", 5, "coco17", base_channels=4, num_stages=2, tcn_dropout=0.5)
    sparsify(model, 0.5, method="score")
    model.to(device).train(training)
    before = copy.deepcopy(model.state_dict())
    clips = random_clips(model, 2, 1, 8)
    torch.manual_seed(1)
    times = measure_graph_product(model, clips, rounds=2)
    drawn = torch.rand(3, device=device)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3, device=device), drawn)
    assert times.keys() == {"dense", "sparse"} and min(times.values()) > 0
    assert chosen(model) == {min(times, key=times.__getitem__)}
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert model.training == training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.torch_sparse
def test_what_cannot_be_measured() -> None:
    model = create_model("ctrgcn", 5, "coco17", base_channels=8, num_stages=2)
    clips = random_clips(model, 2, 1, 8)
    with pytest.raises(InputError, match="graph_product 'sparse': CTRGCN has no STGraphConv"):
        measure_graph_product(model, clips)
    with pytest.raises(InputError, match="rounds 0: is too few"):
        measure_graph_product(model, clips, rounds=0)
