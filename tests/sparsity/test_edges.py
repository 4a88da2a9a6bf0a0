"""Every node keeps an edge into it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import METHODS, masked_parameters, sparsify


class Graph(nn.Module):
    """All pairs of nodes in two partitions."""

    def __init__(self, num_nodes: int = 9) -> None:
        super().__init__()
        pairs = torch.cartesian_prod(torch.arange(num_nodes), torch.arange(num_nodes)).t()
        self.register_buffer("edge_index", pairs.repeat(1, 2))
        self.edge_weight = nn.Parameter(torch.rand(self.edge_index.size(1)))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.graphs = nn.ModuleList(Graph() for _ in range(3))
        self.linear = nn.Linear(8, 8)


@pytest.mark.parametrize("allocation", ["global", "uniform"])
@pytest.mark.parametrize("method", METHODS)
def test_at_the_exact_count(method: str, allocation: str) -> None:
    torch.manual_seed(0)
    model = Model()
    # One graph would lose everything to the others.
    model.graphs[1].edge_weight.data *= 1e-3
    controller = sparsify(
        model, 0.5, edge_sparsity=0.9, method=method, allocation=allocation, min_density=0.0
    )
    total = 3 * 2 * 81
    assert round(controller.edge_sparsity * total) == round(0.9 * (total - 1))
    for entry in masked_parameters(model):
        if entry.is_edge:
            kept = entry.owner.edge_index[1][entry.mask]
            assert set(kept.tolist()) == set(range(9))


def test_the_largest_edge_into_each_node_stays() -> None:
    torch.manual_seed(1)
    graph = Graph()
    sparsify(
        graph, 0.0, edge_sparsity=0.98, method="magnitude", allocation="global", min_density=0.0
    )
    (entry,) = masked_parameters(graph)
    # 98 % of 162 leave four edges, fewer than there are nodes: nine stay.
    assert int(entry.mask.sum()) == 9
    for node in range(9):
        into = graph.edge_index[1] == node
        best = torch.where(into, entry.weight, 0).argmax()
        assert entry.mask[best]


def test_nodes_without_edges_and_modules_without_nodes() -> None:
    graph = Graph()
    graph.edge_index = graph.edge_index % 4
    sparsify(graph, 0.0, edge_sparsity=0.98)
    assert int(masked_parameters(graph)[0].mask.sum()) == 4
    plain = nn.Module()
    plain.edge_weight = nn.Parameter(torch.rand(101))
    controller = sparsify(plain, 0.0, edge_sparsity=0.98)
    assert controller.edge_sparsity == pytest.approx(98 / 101)


def test_names_that_leave_no_edges_are_refused() -> None:
    with pytest.raises(InputError, match=r"add '\*edge_weight' to include"):
        sparsify(Model(), 0.5, edge_sparsity=0.5, include="linear.*")
    controller = sparsify(Model(), 0.5, edge_sparsity=0.5, include=["linear.*", "*edge_weight"])
    assert controller.edge_sparsity == pytest.approx(0.5, abs=0.01)
