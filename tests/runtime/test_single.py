"""Single layers of other models."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.runtime import compile_sparse
from pyg_stgcn.runtime.single import (
    SparseConv1d,
    SparseConv2d,
    SparseLinear,
    fits,
    is_faster,
    sparse_layer,
)
from pyg_stgcn.sparsity import sparsify

LAYERS = [
    (nn.Linear(7, 9), (5, 3, 7)),
    (nn.Linear(64, 16, bias=False), (64,)),
    (nn.Linear(3, 8), (0, 3)),
    (nn.Conv1d(6, 8, 5, stride=2, padding=2), (3, 6, 11)),
    (nn.Conv1d(6, 5, 3, dilation=3), (6, 8)),
    (nn.Conv2d(4, 16, (9, 1), padding=(4, 0)), (2, 4, 7, 17)),
    (nn.Conv2d(4, 3, (3, 1), stride=(2, 1), padding=(5, 0), dilation=(2, 1)), (4, 12, 33)),
    (nn.Conv2d(70, 6, 1), (1, 70, 4, 5)),
]


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("sparsity", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value)[:40])
def test_the_same_outputs(layer: nn.Module, shape: tuple[int, ...], sparsity: float) -> None:
    layer = copy.deepcopy(layer)
    with torch.no_grad():
        layer.weight.mul_(torch.rand_like(layer.weight) >= sparsity)
    x = torch.randn(shape)
    assert fits(layer)
    with torch.no_grad():
        exact = copy.deepcopy(layer).double()(x.double())
    found = sparse_layer(layer)(x)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, (1, 3)),
        nn.Conv2d(4, 4, (3, 1), stride=2),
        nn.Conv2d(4, 4, (3, 1), padding="same"),
        nn.Conv1d(4, 4, 3, groups=2),
        nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Linear(4, 4).double(),
        nn.BatchNorm1d(4),
        nn.Bilinear(4, 4, 4),
    ],
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    assert not fits(layer)
    assert type(compile_sparse(layer)) is type(layer)


@pytest.mark.usefixtures("native")
def test_a_masked_model_of_the_users() -> None:
    model = nn.Sequential(
        nn.Conv1d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv1d(64, 64, 5),
        nn.Flatten(),
        nn.Linear(64 * 8, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    sparsify(model, 0.97, allocation="uniform", exclude="6.*")
    x = torch.randn(20, 32, 12)
    compiled = compile_sparse(model)
    kinds = [type(part) for part in compiled]
    assert kinds[2] is SparseConv1d
    assert kinds[4] is SparseLinear
    assert kinds[6] is nn.Linear  # nothing is pruned
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model.eval()(x), rtol=1e-5, atol=1e-5)
    assert not compiled(x).requires_grad


@pytest.mark.usefixtures("native")
def test_the_choice_follows_the_zeros() -> None:
    layer = nn.Conv2d(128, 128, (9, 1), padding=(4, 0))
    assert not is_faster(layer)
    with torch.no_grad():
        layer.weight.mul_(torch.rand_like(layer.weight) < 0.05)
    assert is_faster(layer)
    assert isinstance(compile_sparse(layer), SparseConv2d)


def test_no_values_yet() -> None:
    with pytest.raises(InputError, match=r"0\.weight: has no values yet"):
        compile_sparse(nn.Sequential(nn.Linear(3, 3, device="meta")))
