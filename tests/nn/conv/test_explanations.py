"""Explanations of PyG, against leaving the edge out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.explain import Explainer, Explanation, GNNExplainer
from torch_geometric.explain.algorithm import ExplainerAlgorithm
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from pyg_stgcn.errors import InputError
from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv, STGraphConv
from pyg_stgcn.nn.conv.partitioned import PartitionedGraphConv

V, C, OUT, EDGES = 7, 6, 16, 14
LAYERS: dict[str, Callable[[int, int, int], PartitionedGraphConv]] = {
    "STGraphConv": STGraphConv,
    "STGraphConv without bias": lambda *sizes: STGraphConv(*sizes, bias=False),
    "AAGraphConv": AAGraphConv,
    "CTRGraphConv": CTRGraphConv,
    "DGGraphConv": DGGraphConv,
    "DGGraphConv subset-wise": lambda *sizes: DGGraphConv(*sizes, subset_wise=True),
}


def draw(model: nn.Module) -> Any:
    """The model with all that is learnt far from zero, but no attention over the edges."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.rand_like(parameter) - 0.3)
            if name.endswith("beta"):
                parameter.zero_()
            if name.endswith("pre_norm.bias"):  # All channels pass the ReLU.
                parameter.fill_(3)
    return model.double().eval()


def make_graph(num_partitions: int) -> tuple[Tensor, Tensor, Tensor]:
    """Edges in any order, with loops, weights and types."""
    place = torch.randperm(num_partitions * V**2)[:EDGES]
    edge_index = torch.stack([place % V**2 // V, place % V])
    return edge_index, torch.rand(EDGES, dtype=torch.float64) + 0.1, place // V**2


def without(edge: int, *graph: Tensor | None) -> tuple[Tensor | None, ...]:
    kept = torch.arange(EDGES) != edge
    return tuple(None if part is None else part[..., kept] for part in graph)


class LeaveOneOut(ExplainerAlgorithm):
    """The change of an output when the mask of one edge is zero."""

    def forward(
        self, model: nn.Module, x: Tensor, edge_index: Tensor, **kwargs: Any
    ) -> Explanation:
        changes = []
        before = model(x, edge_index, **self._others(kwargs))
        for mask in 1 - torch.eye(edge_index.size(1), dtype=x.dtype):
            set_masks(model, mask, edge_index, apply_sigmoid=False)
            after = model(x, edge_index, **self._others(kwargs))
            changes.append((after - before)[kwargs["index"]].abs().sum())
        clear_masks(model)
        return Explanation(edge_mask=torch.stack(changes))

    @staticmethod
    def _others(kwargs: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in kwargs.items() if key not in ("target", "index")}

    def supports(self) -> bool:
        return True


class TwoLayers(nn.Module):
    def __init__(self, layer: Callable[[int, int, int], PartitionedGraphConv], k: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([layer(C, 8, k), layer(8, OUT, k)])

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor, edge_type: Tensor | None
    ) -> Tensor:
        h = self.convs[0](x, edge_index, edge_weight, edge_type).tanh()
        return self.convs[1](h, edge_index, edge_weight, edge_type)


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Callable[[int, int, int], PartitionedGraphConv]:
    return LAYERS[request.param]


@pytest.mark.parametrize("num_partitions", [1, 3])
@pytest.mark.parametrize("lead", [(), (2, 4)])
def test_a_mask_of_zero_leaves_the_edge_out(
    layer: Any, num_partitions: int, lead: tuple[int, ...]
) -> None:
    conv, graph = draw(layer(C, OUT, num_partitions)), make_graph(num_partitions)
    x = torch.randn(*lead, V, C, dtype=torch.float64)
    expected = [conv(x, *without(edge, *graph)) for edge in range(EDGES)]
    before = conv(x, *graph)
    for mask, out in zip(1 - torch.eye(EDGES, dtype=x.dtype), expected, strict=True):
        set_masks(conv, mask, graph[0], apply_sigmoid=False)
        torch.testing.assert_close(conv(x, *graph), out)
    set_masks(conv, torch.ones(EDGES, dtype=x.dtype), graph[0], apply_sigmoid=False)
    torch.testing.assert_close(conv(x, *graph), before)
    clear_masks(conv)
    assert torch.equal(conv(x, *graph), before)


def test_groups_on_edges_without_types() -> None:
    conv, (edge_index, edge_weight, _) = draw(DGGraphConv(C, OUT)), make_graph(1)
    x = torch.randn(4, V, C, dtype=torch.float64)
    for edge, mask in enumerate(1 - torch.eye(EDGES, dtype=x.dtype)):
        set_masks(conv, mask, edge_index, apply_sigmoid=False)
        out = conv(x, edge_index, edge_weight)
        clear_masks(conv)
        torch.testing.assert_close(out, conv(x, *without(edge, edge_index, edge_weight)))


@pytest.mark.parametrize("num_partitions", [1, 3])
def test_attention_is_shared_out_before_masks(num_partitions: int) -> None:
    """As in the attention layers of PyG: the other edges gain nothing from a masked one."""
    conv = draw(DGGraphConv(C, OUT, num_partitions))
    x, graph = torch.randn(4, V, C, dtype=torch.float64), make_graph(num_partitions)
    nn.init.ones_(conv.beta)
    upstream = torch.randn(4, V, OUT, dtype=torch.float64)

    def change(masks: Tensor) -> Tensor:
        set_masks(conv, masks, graph[0], apply_sigmoid=False)
        return (conv(x, *graph) * upstream).sum()

    everything, nothing = change(torch.ones(EDGES).double()), change(torch.zeros(EDGES).double())
    alone = [change(mask) - nothing for mask in torch.eye(EDGES, dtype=x.dtype)]
    clear_masks(conv)
    torch.testing.assert_close(torch.stack(alone).sum(), everything - nothing)
    torch.testing.assert_close((conv(x, *graph) * upstream).sum(), everything)


@pytest.mark.parametrize("num_partitions", [1, 3])
def test_explainer_ranks_edges_as_leaving_them_out_does(layer: Any, num_partitions: int) -> None:
    model, graph = draw(TwoLayers(layer, num_partitions)), make_graph(num_partitions)
    x = torch.randn(V, C, dtype=torch.float64)
    edge_index, edge_weight, edge_type = graph
    before = model(x, *graph)[3]
    expected = [(model(x, *without(edge, *graph))[3] - before).abs().sum() for edge in range(EDGES)]
    explainer = make_explainer(model, LeaveOneOut())
    found = explainer(x, edge_index, index=3, edge_weight=edge_weight, edge_type=edge_type)
    torch.testing.assert_close(found.edge_mask, torch.stack(expected).detach())


def test_gnn_explainer_finds_the_edges_on_the_way(layer: Any) -> None:
    """Edges that no path of two steps leads from to the explained node are not important."""
    edge_index = torch.tensor([[4, 0, 1, 2, 5, 2], [5, 1, 2, 3, 6, 2]])
    model = draw(TwoLayers(layer, 1)).float()
    explainer = make_explainer(model, GNNExplainer(epochs=20, lr=0.1))
    order = torch.randperm(6)
    found = explainer(
        torch.randn(V, C),
        edge_index[:, order],
        index=3,
        edge_weight=torch.ones(6),
        edge_type=None,
    )
    mask = torch.empty(6).index_copy(0, order, found.edge_mask)
    assert (mask[[2, 3, 5]] > 0).all()
    assert torch.equal(mask[[0, 1, 4]], torch.zeros(3))


def test_an_explanation_of_a_matrix_is_refused(layer: Any) -> None:
    conv, edge_index = draw(layer(C, OUT, 1)), torch.tensor([[0, 1], [1, 2]])
    set_masks(conv, torch.ones(2), edge_index)
    x, matrix = torch.randn(V, C, dtype=torch.float64), torch.eye(V, dtype=torch.float64)
    for graph in ({"edge_index": matrix.to_sparse()}, {"dense_adj": matrix}):
        with pytest.raises(InputError, match="give them as edge_index"):
            conv(x, **graph)


def test_a_copy_of_an_explained_layer_is_explained(layer: Any) -> None:
    conv, graph = draw(layer(C, OUT, 3)), make_graph(3)
    x = torch.randn(V, C, dtype=torch.float64)
    set_masks(conv, torch.rand(EDGES, dtype=x.dtype), graph[0])
    torch.testing.assert_close(copy.deepcopy(conv)(x, *graph), conv(x, *graph))


def make_explainer(model: nn.Module, algorithm: ExplainerAlgorithm) -> Explainer:
    return Explainer(
        model,
        algorithm,
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
    )
