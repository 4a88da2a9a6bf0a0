from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.typing import SparseTensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.nn import Adjacency, build_matrices, edge_strength
from pyg_stgcn.nn.adjacency import SPARSE_DENSITY
from pyg_stgcn.skeletons import Skeleton, SkeletonGraph, get_skeleton


def as_dense(matrix: Tensor | SparseTensor) -> Tensor:
    return matrix.to_dense() if isinstance(matrix, SparseTensor) else matrix


def rows_of(dense: Tensor) -> Tensor:
    """A graph ``[K, V, V]`` as the matrix ``[V*K, V]``, row ``w*K + k``."""
    return dense.permute(2, 0, 1).reshape(-1, dense.size(1))


def chain(num_joints: int) -> SkeletonGraph:
    joints = tuple(f"joint {v}" for v in range(num_joints))
    bones = tuple((v, v - 1) for v in range(1, num_joints))
    return Skeleton("chain", joints, bones, center=0).graph("spatial")


SPARSE, DENSE = chain(60), chain(8)
KINDS = ["auto", pytest.param("sparse", marks=pytest.mark.torch_sparse)]


@pytest.mark.parametrize("adaptive", ["importance", "init"])
@pytest.mark.parametrize("name", ["ntu25", "coco17", "hand21"])
@pytest.mark.parametrize("partition", ["stgcn_spatial", "spatial", "uniform", "random"])
def test_starts_as_the_graph(name: str, partition: str, adaptive: str) -> None:
    graph = get_skeleton(name).graph(partition)
    matrix = as_dense(Adjacency(graph, adaptive)())
    torch.testing.assert_close(matrix, rows_of(graph.dense()), rtol=0, atol=0)


@pytest.mark.torch_sparse
def test_the_density_decides_the_product() -> None:
    for graph, kind in ((SPARSE, SparseTensor), (DENSE, Tensor)):
        adjacency = Adjacency(graph)
        density = graph.edge_weight.numel() / graph.dense().numel()
        assert (density < SPARSE_DENSITY) == (kind is SparseTensor)
        assert isinstance(adjacency(), kind)
        with torch.no_grad():
            assert isinstance(adjacency(), Tensor)


def test_the_product_is_dense_without_torch_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_stgcn.nn.sparse_products.WITH_TORCH_SPARSE", False)
    adjacency = Adjacency(SPARSE)
    for has_gradients in (True, False):
        with torch.set_grad_enabled(has_gradients):
            assert torch.equal(adjacency(), rows_of(SPARSE.dense()))


@pytest.mark.parametrize("graph", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_importance_is_a_factor_and_gets_its_gradient(graph: SkeletonGraph) -> None:
    adjacency = Adjacency(graph)
    assert torch.equal(adjacency.edge_weight, torch.ones(graph.edge_weight.numel()))
    with torch.no_grad():
        adjacency.edge_weight.copy_(torch.randn_like(adjacency.edge_weight))
    k, (v, w) = adjacency.edge_type, adjacency.edge_index
    expected = torch.zeros_like(graph.dense())
    expected[k, v, w] = graph.dense()[k, v, w] * adjacency.edge_weight.detach()
    torch.testing.assert_close(as_dense(adjacency()), rows_of(expected))

    upstream = torch.randn(adjacency.size)
    (as_dense(adjacency()) * upstream).sum().backward()
    at_edges = upstream[w * adjacency.num_partitions + k, v]
    torch.testing.assert_close(adjacency.edge_weight.grad, at_edges * graph.dense()[k, v, w])


@pytest.mark.torch_sparse
def test_pruned_edges_take_part_only_where_gradients_are_wanted() -> None:
    graph = get_skeleton("ntu25").graph("random")
    adjacency = Adjacency(graph, "init", "sparse").eval()
    with torch.no_grad():
        adjacency.edge_weight[torch.randperm(1875)[: 1875 - 30]] = 0
    trained = adjacency()
    assert trained.nnz() == 1875
    trained.to_dense().sum().backward()
    assert torch.equal(adjacency.edge_weight.grad, torch.ones(1875))
    with torch.no_grad():
        pruned = adjacency()
    assert isinstance(pruned, SparseTensor)
    assert pruned.nnz() == 30
    assert torch.equal(pruned.to_dense(), trained.to_dense())


def test_no_edges_are_left() -> None:
    adjacency = Adjacency(DENSE, "init")
    with torch.no_grad():
        adjacency.edge_weight.zero_()
        assert torch.equal(as_dense(adjacency()), torch.zeros(adjacency.size))


class _Mask(nn.Module):
    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.kept


@pytest.mark.torch_sparse
@pytest.mark.parametrize("graph", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_unchanged_weights_are_not_built_again(graph: SkeletonGraph) -> None:
    adjacency = Adjacency(graph, graph_product="sparse")
    with torch.no_grad():
        first = adjacency()
        assert adjacency() is first
        parametrize.register_parametrization(
            adjacency, "edge_weight", _Mask(torch.ones(graph.edge_weight.numel()))
        )
        assert adjacency() is first


@pytest.mark.parametrize("graph", [SPARSE, DENSE], ids=["sparse", "dense"])
@pytest.mark.parametrize("product", KINDS)
def test_every_change_of_the_weights_is_seen(graph: SkeletonGraph, product: str) -> None:
    adjacency = Adjacency(graph, "init", product)
    kept = torch.ones(graph.edge_weight.numel())

    def expected() -> Tensor:
        dense = torch.zeros_like(graph.dense())
        k, (v, w) = adjacency.edge_type, adjacency.edge_index
        dense[k, v, w] = adjacency.edge_weight.detach()
        return rows_of(dense)

    @torch.no_grad()
    def check() -> None:
        torch.testing.assert_close(as_dense(adjacency()), expected(), rtol=0, atol=0)

    check()
    as_dense(adjacency()).sum().backward()
    torch.optim.SGD(adjacency.parameters(), lr=0.1).step()
    check()
    adjacency.edge_weight.data[0] = 7
    check()
    state = {name: 2 * value for name, value in adjacency.state_dict().items()}
    adjacency.load_state_dict(state)
    check()
    parametrize.register_parametrization(adjacency, "edge_weight", _Mask(kept))
    for pruned in (0, 3, 1):
        kept.fill_(1)
        kept[pruned] = 0
        check()
    adjacency.double()
    adjacency.float()
    check()


@pytest.mark.parametrize("product", KINDS)
def test_inference_mode_leaves_nothing_that_a_backward_pass_cannot_use(product: str) -> None:
    for graph in (SPARSE, DENSE):
        adjacency = Adjacency(graph, graph_product=product).requires_grad_(False)
        with torch.inference_mode():
            adjacency()
        x = torch.ones(graph.num_joints, 2, requires_grad=True)
        (adjacency() @ x).sum().backward()
        columns = rows_of(graph.dense()).sum(dim=0)
        torch.testing.assert_close(x.grad, columns.unsqueeze(1).expand(-1, 2))


@pytest.mark.parametrize("adaptive", ["importance", "init"])
def test_state_dict_restores_the_matrix(adaptive: str) -> None:
    graph = get_skeleton("ntu25").graph("random")
    adjacency = Adjacency(graph, adaptive)
    adjacency.edge_weight.data.normal_()
    other = Adjacency(get_skeleton("ntu25").graph("random"), adaptive)
    other.load_state_dict(adjacency.state_dict())
    assert torch.equal(other(), adjacency())


@pytest.mark.parametrize("product", KINDS)
def test_copies_are_independent(product: str) -> None:
    adjacency = Adjacency(SPARSE, graph_product=product)
    adjacency()
    with torch.no_grad():
        before = as_dense(adjacency())
        other = copy.deepcopy(adjacency)
        other.edge_weight.zero_()
        assert as_dense(other()).count_nonzero() == 0
        assert torch.equal(as_dense(adjacency()), before)


def test_restarts_from_another_draw() -> None:
    first, second = (get_skeleton("sbu15").graph("random") for _ in range(2))
    adjacency = Adjacency(first, "init")
    adjacency.edge_weight.data.zero_()
    adjacency.reset_parameters()
    assert torch.equal(adjacency(), rows_of(first.dense()))
    adjacency.restart_from(second)
    assert torch.equal(adjacency(), rows_of(second.dense()))


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="'offset' is unknown; use one of importance, init"):
        Adjacency(DENSE, "offset")


def test_repr_shows_the_size() -> None:
    shown = "num_joints=8, num_partitions=3, num_edges=22, adaptive='importance'"
    assert repr(Adjacency(DENSE)) == f"Adjacency({shown})"


def drawn(graph: SkeletonGraph, adaptive: str) -> Adjacency:
    """A graph of which a random half of the edges is masked."""
    adjacency = Adjacency(graph, adaptive)
    num_edges = adjacency.edge_weight.numel()
    with torch.no_grad():
        adjacency.edge_weight.normal_()
        adjacency.graph_weight.normal_()
    mask = _Mask((torch.rand(num_edges) < 0.5).float())
    parametrize.register_parametrization(adjacency, "edge_weight", mask)
    return adjacency


RANDOM = get_skeleton("coco17").graph("random", 2)
TOGETHER = {
    "dense": [(DENSE, "importance")] * 3,
    "sparse": [(SPARSE, "importance")] * 2,
    "all pairs": [(RANDOM, "init"), (get_skeleton("coco17").graph("random", 2), "init")],
    "factors of all pairs": [(RANDOM, "importance")] * 2,
    "other edges": [(DENSE, "init"), (SPARSE, "init"), (RANDOM, "init")],
    "other edges, as many": [(DENSE, "init"), (DENSE.complete(), "init")],
    "other kinds": [(DENSE, "init"), (DENSE, "importance")],
    "alone": [(DENSE, "importance")],
    "none": [],
}


@pytest.mark.parametrize("with_gradients", [True, False])
@pytest.mark.parametrize("with_sparse", [True, False])
@pytest.mark.parametrize("name", TOGETHER)
def test_together_as_each_alone(
    name: str, with_sparse: bool, with_gradients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_sparse:
        monkeypatch.setattr("pyg_stgcn.nn.sparse_products.WITH_TORCH_SPARSE", False)
    together = [drawn(graph, adaptive) for graph, adaptive in TOGETHER[name]]
    alone = copy.deepcopy(together)
    with torch.set_grad_enabled(with_gradients):
        found, expected = build_matrices(together), [graph() for graph in alone]
    assert [type(matrix) for matrix in found] == [type(matrix) for matrix in expected]
    for matrix, other in zip(found, expected, strict=True):
        assert torch.equal(as_dense(matrix), as_dense(other))
    if with_gradients:
        for matrices, graphs in ((found, together), (expected, alone)):
            torch.manual_seed(1)
            for matrix, graph in zip(matrices, graphs, strict=True):
                dense = as_dense(matrix)
                (dense * torch.randn(graph.size)).sum().backward(retain_graph=True)
        for graph, other in zip(together, alone, strict=True):
            pairs = zip(graph.parameters(), other.parameters(), strict=True)
            assert all(torch.equal(weight.grad, same.grad) for weight, same in pairs)


class _Count(TorchDispatchMode):
    """Counts the operators that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("graph", [DENSE, RANDOM], ids=["skeleton", "all pairs"])
def test_more_stages_need_no_more_operators(graph: SkeletonGraph) -> None:
    counts = []
    for num_graphs in (2, 10):
        graphs = [Adjacency(graph).to("meta") for _ in range(num_graphs)]
        with _Count() as forward:
            matrices = build_matrices(graphs)
        with _Count() as backward:
            torch.autograd.backward(matrices, [torch.empty_like(part) for part in matrices])
        counts.append((forward.count, backward.count - num_graphs))  # new gradients
    assert counts[0] == counts[1]
    assert sum(counts[0]) <= 10


def test_edge_strength_is_a_mean_over_graphs_and_partitions() -> None:
    first, second = Adjacency(SPARSE), Adjacency(SPARSE, "init")
    with torch.no_grad():
        first.edge_weight.normal_()
        second.edge_weight.normal_()
        second.edge_weight[:30] = 0
    total = torch.zeros(SPARSE.num_joints, SPARSE.num_joints)
    for adjacency, weight in (
        (first, first.edge_weight * first.graph_weight),
        (second, second.edge_weight),
    ):
        source, target = adjacency.edge_index
        total.index_put_((source, target), weight.detach().abs(), accumulate=True)
    expected = total / (2 * SPARSE.num_partitions)
    torch.testing.assert_close(edge_strength(nn.Sequential(first, second)), expected)


def test_edge_strength_needs_a_graph() -> None:
    with pytest.raises(InputError, match="Linear: has no learnt graph"):
        edge_strength(nn.Linear(2, 2))


@pytest.mark.parametrize("graph", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_partitions_hold_factor_times_weight(graph: SkeletonGraph) -> None:
    adjacency = Adjacency(graph)
    with torch.no_grad():
        adjacency.edge_weight.copy_(torch.randn_like(adjacency.edge_weight))
        adjacency.edge_weight[::3] = 0
    expected = torch.zeros_like(graph.dense())
    k, (v, w) = adjacency.edge_type, adjacency.edge_index
    expected[k, v, w] = (adjacency.edge_weight * graph.dense()[k, v, w]).detach()
    torch.testing.assert_close(adjacency.by_partition(), expected)
