"""All graph products give the same, on all devices."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, create_model, random_clips, set_graph_product
from pyg_stgcn.nn import Adjacency
from pyg_stgcn.nn.sparse_products import GRAPH_PRODUCTS
from pyg_stgcn.sparsity import sparsify

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
SMALL = {"base_channels": 8, "num_stages": 2, "inflate_stages": (2,), "down_stages": (2,)}
#: Of the skeleton alone, 4.6 % dense; all pairs of joints.
MODELS = [("stgcn", "stgcn_spatial"), ("stgcn", "random"), ("stgcnpp", "spatial")]
TOLERANCE = {torch.bfloat16: 0.05, torch.float16: 0.01}


@pytest.fixture(scope="module", params=MODELS, ids="-".join)
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A backbone of float64 with pruned edges."""
    torch.manual_seed(0)
    name, graph = request.param
    model = create_model(name, 5, "coco17", graph=graph, **SMALL).double()
    sparsify(model, 0.5, edge_sparsity=0.5, method="random", exclude="head.*")
    model(*random_clips(model, 3, 2, 8))
    return model.eval()


def with_product(model: nn.Module, graph_product: str, device: str = "cpu") -> nn.Module:
    model = copy.deepcopy(model).to(device)
    set_graph_product(model, graph_product)
    return model


def to(device: str, given: tuple[Tensor, Tensor, int], dtype: torch.dtype) -> Any:
    x, batch, size = given
    return x.to(device, dtype), batch.to(device), size


def outputs_and_gradients(model: nn.Module, given: Any) -> tuple[Tensor, ...]:
    """The logits with and without gradients, and all gradients."""
    logits = model(*given)
    with torch.no_grad():
        inferred = model(*given)
    weights = (1 + torch.arange(logits.numel(), device=logits.device)).view_as(logits)
    found = torch.autograd.grad((logits * weights).sum(), list(model.parameters()))
    gradients = torch.cat([part.flatten() for part in found])
    return tuple(part.detach().double().cpu() for part in (logits, inferred, gradients))


@pytest.mark.torch_sparse
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("graph_product", GRAPH_PRODUCTS)
def test_all_products_agree(model: nn.Module, graph_product: str, device: str) -> None:
    given = random_clips(model, 3, 2, 8)
    expected = outputs_and_gradients(with_product(model, "dense"), given)
    chosen = with_product(model, graph_product, device)
    found = outputs_and_gradients(chosen, to(device, given, torch.float64))
    for part, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(part, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.torch_sparse
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_sparse_in_other_precisions(
    model: nn.Module, dtype: torch.dtype, autocast: bool, device: str
) -> None:
    given = random_clips(model, 3, 2, 8)
    expected = outputs_and_gradients(with_product(model, "dense"), given)
    weights = torch.float32 if autocast else dtype
    chosen = with_product(model, "sparse", device).to(weights)
    with torch.autocast(device, dtype, enabled=autocast):
        found = outputs_and_gradients(chosen, to(device, given, weights))
    for part, wanted in zip(found, expected, strict=True):
        assert (part - wanted).norm() < TOLERANCE[dtype] * wanted.norm()


@pytest.mark.torch_sparse
def test_the_choice_decides_the_matrix() -> None:
    for graph in ("stgcn_spatial", "random"):
        model = create_model("stgcn", 5, "coco17", graph=graph, graph_product="sparse", **SMALL)
        adjacency = model.stages[0].gcn.adjacency
        for has_gradients in (True, False):
            with torch.set_grad_enabled(has_gradients):
                set_graph_product(model, "sparse")
                assert not isinstance(adjacency(), Tensor)
                set_graph_product(model, "dense")
                assert isinstance(adjacency(), Tensor)


@pytest.mark.torch_sparse
def test_pruned_edges_are_left_out_without_gradients() -> None:
    model = create_model("stgcn", 5, "coco17", graph="random", graph_product="sparse", **SMALL)
    adjacency = model.stages[0].gcn.adjacency
    adjacency.edge_weight.data[: 2 * 17 * 17] = 0
    assert adjacency().nnz() == 3 * 17 * 17
    with torch.no_grad():
        assert adjacency().nnz() == 17 * 17


@pytest.mark.cuda
@pytest.mark.torch_sparse
def test_a_model_can_move_between_passes() -> None:
    model = create_model("stgcn", 5, "coco17", graph_product="sparse", **SMALL).double().eval()
    given = random_clips(model, 3, 2, 8)
    expected = outputs_and_gradients(model, given)
    for device in ("cuda", "cpu"):
        found = outputs_and_gradients(model.to(device), to(device, given, torch.float64))
        for part, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(part, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.torch_sparse
def test_a_traced_model_is_dense_and_says_so() -> None:
    tiny = {"base_channels": 4, "num_stages": 1, "graph_product": "sparse"}
    model = create_model("stgcn", 5, "coco17", **tiny).eval()
    given = random_clips(model, 2, 1, 8)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with pytest.warns(UserWarning, match="'sparse': torch.compile and torch.export do not trace"):
        found = compiled(*given)
    torch.testing.assert_close(found, model(*given))
    with pytest.warns(UserWarning, match="'sparse': torch.compile and torch.export do not trace"):
        program = torch.export.export(model, given)
    torch.testing.assert_close(program.module()(*given), model(*given))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "graph_product")
        set_graph_product(model, "auto")
        torch.export.export(model, given)


@pytest.mark.torch_sparse
def test_only_where_there_is_a_product() -> None:
    experts = [create_model(name, 5, "coco17", **SMALL) for name in ("stgcn", "ctrgcn")]
    model = Assembly(experts)
    set_graph_product(model, "sparse")
    chosen = [
        {part.graph_product for part in expert.modules() if isinstance(part, Adjacency)}
        for expert in experts
    ]
    assert chosen == [{"sparse"}, {"dense"}]
    model(*random_clips(model, 2, 1, 8))
    for name in ("aagcn", "ctrgcn", "dgstgcn"):
        create_model(name, 5, "coco17", graph_product="dense", **SMALL)
        with pytest.raises(InputError, match=r"'sparse': .* no STGraphConv, .*; use 'auto'"):
            create_model(name, 5, "coco17", graph_product="sparse", **SMALL)


def test_unknown_product() -> None:
    with pytest.raises(InputError, match="'csr': is unknown; use one of auto, sparse, dense"):
        create_model("stgcn", 5, "coco17", graph_product="csr")


def test_torch_sparse_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_stgcn.nn.sparse_products.WITH_TORCH_SPARSE", False)
    model = create_model("stgcn", 5, "coco17", graph_product="auto", **SMALL)
    model(*random_clips(model, 2, 1, 8))
    with pytest.raises(InputError, match="'sparse': torch-sparse is not installed; install"):
        set_graph_product(model, "sparse")


@pytest.mark.torch_sparse
def test_a_device_without_products() -> None:
    model = create_model("stgcn", 5, "coco17", graph_product="sparse", **SMALL).to("meta")
    with pytest.raises(InputError, match=r"'sparse': .* no products on the device meta"):
        model(*random_clips(model, 2, 1, 8))
