"""Single layers of other models."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.nn.dense import Linear as PyGLinear

from pyg_stgcn.errors import InputError
from pyg_stgcn.runtime import compile_sparse
from pyg_stgcn.runtime.single import (
    SparseConv1d,
    SparseConv2d,
    SparseLayer,
    SparseLinear,
    is_faster,
    make_sparse,
    obstacle,
)
from pyg_stgcn.sparsity import sparsify

LAYERS = [
    (nn.Linear(7, 9), (5, 3, 7)),
    (nn.Linear(64, 16, bias=False), (64,)),
    (nn.Linear(3, 8), (0, 3)),
    (nn.Linear(300, 24), (2, 133, 300)),
    (PyGLinear(20, 16), (19, 20)),
    (nn.Conv1d(6, 8, 5, stride=2, padding=2), (3, 6, 11)),
    (nn.Conv1d(6, 5, 3, dilation=3), (6, 8)),
    (nn.Conv2d(4, 16, (9, 1), padding=(4, 0)), (2, 4, 7, 17)),
    (nn.Conv2d(4, 3, (3, 1), stride=(2, 1), padding=(5, 0), dilation=(2, 1)), (4, 12, 33)),
    (nn.Conv2d(70, 6, 1), (1, 70, 4, 5)),
]


@pytest.mark.usefixtures("native", "slow_dense")
@pytest.mark.parametrize("sparsity", [0.0, 0.6, 1.0])
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value)[:40])
def test_the_same_outputs(layer: nn.Module, shape: tuple[int, ...], sparsity: float) -> None:
    layer = copy.deepcopy(layer)
    with torch.no_grad():
        layer.weight.mul_(torch.rand_like(layer.weight) >= sparsity)
    x = torch.randn(shape)
    assert not obstacle(layer)
    with torch.no_grad():
        exact = copy.deepcopy(layer).double()(x.double())
    make_sparse(layer)
    assert isinstance(layer, SparseLayer)
    with torch.no_grad():
        found = layer(x)
        strided = layer(x.transpose(0, -1).contiguous().transpose(0, -1))
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)
    assert torch.equal(strided, found)


@pytest.mark.usefixtures("native", "slow_dense")
def test_rows_do_not_depend_on_their_number() -> None:
    """Also the last rows of an odd number, and slices of wider rows."""
    layer = nn.Linear(70, 40)
    make_sparse(layer)
    x = torch.randn(300, 80)[:, 5:75]
    with torch.no_grad():
        whole = layer(x)
        for count in (1, 15, 16, 17, 63, 65, 131):
            assert torch.equal(layer(x[:count]), whole[:count])


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
    assert obstacle(layer)
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
    x = torch.randn(200, 32, 12)
    compiled = compile_sparse(model)
    kinds = [type(part) for part in compiled]
    assert issubclass(kinds[2], SparseConv1d)
    assert issubclass(kinds[4], SparseLinear)
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


@pytest.mark.parametrize(
    "layer", [nn.Linear(3, 3, device="meta"), nn.LazyLinear(3), PyGLinear(-1, 3)], ids=str
)
def test_no_values_yet(layer: nn.Module) -> None:
    with pytest.raises(InputError, match=r"0\.weight: has no values yet"):
        compile_sparse(nn.Sequential(layer))
