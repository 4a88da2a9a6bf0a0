from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.models import create_model, list_models, random_clips
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.runtime import compile_sparse
from pyg_stgcn.runtime.products import SparseProducts, faster_weights, sparse_candidates
from pyg_stgcn.sparsity import sparsify

pytestmark = pytest.mark.torch_sparse


def prune(module: nn.Module, sparsity: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.mul_(torch.rand_like(parameter) >= sparsity)


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("sparsity", [0.5, 0.95])
@torch.no_grad()
def test_backbones(name: str, sparsity: float) -> None:
    torch.manual_seed(0)
    model = create_model(name, 5, "hand21", base_channels=8).double().eval()
    assert isinstance(model, Backbone)
    sparsify(model, sparsity, exclude="head.*", allocation="uniform")
    batch = random_clips(model, 2, 2, 9)
    products = SparseProducts(copy_plain(model))
    assert len(products.names) >= 18
    torch.testing.assert_close(products(*batch), model(*batch))


LAYERS = [
    (nn.Linear(6, 4), (3, 5, 6)),
    (nn.Linear(6, 4, bias=False), (6,)),
    (nn.Conv2d(6, 4, (3, 1), stride=(2, 1), padding=(2, 0), dilation=(2, 1)), (2, 6, 11, 5)),
    (nn.Conv2d(6, 4, (2, 3), stride=(1, 2), padding=(0, 1), bias=False), (2, 6, 4, 7)),
    (nn.Conv2d(6, 4, 3), (6, 5, 5)),
    (nn.Conv1d(6, 4, 5, stride=3, padding=2), (2, 6, 13)),
    (nn.Conv1d(6, 4, 3, dilation=2), (6, 9)),
    (nn.Conv1d(6, 4, 3, groups=2), (2, 6, 9)),
    (nn.Conv2d(6, 6, 3, padding="same", groups=3), (2, 6, 5, 5)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value))
@pytest.mark.parametrize("sparsity", [0.6, 1.0])
@torch.no_grad()
def test_layers(layer: nn.Module, shape: tuple[int, ...], sparsity: float) -> None:
    torch.manual_seed(0)
    layer, x = copy.deepcopy(layer).double(), torch.randn(shape, dtype=torch.float64)
    prune(layer, sparsity)
    torch.testing.assert_close(SparseProducts(layer)(x), layer(x))


def test_dense_weights_stay_dense() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    prune(model[1], 0.9)
    assert list(sparse_candidates(model)) == ["1.weight"]


@torch.no_grad()
def test_what_is_timed_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is replaced: the sparse product is faster in one of two layers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    prune(model, 0.8)
    seconds = iter([3.0, 1.0, 1.0, 3.0])  # dense and sparse of the first layer, of the second
    monkeypatch.setattr("pyg_stgcn.runtime.products._seconds", lambda product: next(seconds))
    x = torch.randn(2, 8)
    names = faster_weights(model, x)
    assert names == ["0.weight"]
    products = SparseProducts(model, names)
    torch.testing.assert_close(products(x), model(x))


@torch.no_grad()
def test_times_every_product_of_a_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = create_model("stgcn", 5, "ntu25", base_channels=8).eval()
    assert isinstance(model, Backbone)
    prune(model, 0.9)
    countdown = itertools.count(0, -1)  # so that the sparse product is always faster
    monkeypatch.setattr("pyg_stgcn.runtime.products._seconds", lambda product: next(countdown))
    linear = [name for name in sparse_candidates(model) if "data_norm" not in name]
    assert faster_weights(model, *random_clips(model, 1, 1, 5)) == linear


@torch.no_grad()
def test_follows_the_weights() -> None:
    """Weights may be loaded, written and copied after the matrices were made."""
    torch.manual_seed(0)
    model, other = nn.Linear(8, 8), nn.Linear(8, 8)
    prune(model, 0.8)
    prune(other, 0.8)
    x, products = torch.randn(2, 8), SparseProducts(model)
    products(x)
    products.model.load_state_dict(other.state_dict())
    torch.testing.assert_close(products(x), other(x))
    replica = copy.deepcopy(products)
    replica.model.weight.mul_(2)
    torch.testing.assert_close(replica(x), 2 * (other(x) - other.bias) + other.bias)
    torch.testing.assert_close(products(x), other(x))
    torch.testing.assert_close(products.double()(x.double()), other.double()(x.double()))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 4), (0, 6)),
        (nn.Conv1d(6, 4, 3), (0, 6, 5)),
        (nn.Conv2d(6, 4, 3), (0, 6, 5, 5)),
    ],
    ids=str,
)
def test_nothing_in_nothing_out(layer: nn.Module, shape: tuple[int, ...]) -> None:
    layer = copy.deepcopy(layer)
    prune(layer, 0.9)
    assert SparseProducts(layer)(torch.randn(shape)).shape == layer(torch.randn(shape)).shape


class ByName(nn.Module):
    """Calls with keywords."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 6))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(input=x, weight=self.weight)


@torch.no_grad()
def test_keywords() -> None:
    torch.manual_seed(0)
    model, x = ByName(), torch.randn(2, 6)
    prune(model, 0.8)
    torch.testing.assert_close(SparseProducts(model)(x), model(x))


@pytest.mark.cuda
@pytest.mark.parametrize("name", list_models())
@torch.no_grad()
def test_compiled_on_cuda(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, 5, "ntu25", base_channels=16).eval().cuda()
    assert isinstance(model, Backbone)
    sparsify(model, 0.99, exclude="head.*")
    batch = random_clips(model, 2, 2, 20)
    expected: Tensor = model(*batch)
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(compile_sparse(model)(*batch), expected, **close)
    torch.testing.assert_close(SparseProducts(copy_plain(model))(*batch), expected, **close)
