"""The contract of all graph convolutions: the graphs and features they take, and what they refuse.

Their numbers are compared with the published formulas in test_st_graph_conv.py and
test_adaptive.py.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data
from torch_geometric.nn import HeteroConv
from torch_geometric.typing import SparseTensor

from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.datasets.store.items import clip_to_data
from pyg_stgcn.errors import InputError
from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv, STGraphConv
from pyg_stgcn.nn.conv.partitioned import PartitionedGraphConv
from pyg_stgcn.skeletons import get_skeleton

Kind = type[PartitionedGraphConv]
V, C, OUT = 7, 6, 16
TO_SPARSE = {
    "coo": Tensor.to_sparse_coo,
    "csr": Tensor.to_sparse_csr,
    "csc": Tensor.to_sparse_csc,
    "torch-sparse": SparseTensor.from_dense,
}


@pytest.fixture(
    params=[STGraphConv, AAGraphConv, CTRGraphConv, DGGraphConv], ids=lambda kind: kind.__name__
)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="x has shape")
        yield


def make(kind: Kind, num_partitions: int = 1, **options: Any) -> PartitionedGraphConv:
    """A layer in double precision, whose learnt part is far from zero."""
    conv = kind(C, OUT, num_partitions, **options).double().eval()
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.rand_like(parameter) - 0.3)
    return conv


def make_graph(num_partitions: int = 1, nodes: int = V) -> tuple[Tensor, Tensor, Tensor]:
    """Edges in any order, their weights and types; the last node but one is isolated."""
    place = torch.randperm(num_partitions * nodes**2)[: 2 * nodes * num_partitions]
    edge_type, pair = place // nodes**2, place % nodes**2
    edge_index = torch.stack([pair // nodes, pair % nodes])
    edge_index[edge_index == nodes - 2] = nodes - 1
    return edge_index, torch.rand(len(place), dtype=torch.float64) + 0.1, edge_type


def as_matrix(
    edge_index: Tensor, edge_weight: Tensor, edge_type: Tensor, num_partitions: int = 1
) -> Tensor:
    rows = edge_index[1] * num_partitions + edge_type
    size = int(edge_index.max()) + 1
    matrix = edge_weight.new_zeros(size * num_partitions, size)
    return matrix.index_put((rows, edge_index[0]), edge_weight)


def features(*lead: int, nodes: int = V) -> Tensor:
    return torch.randn(*lead, nodes, C, dtype=torch.float64)


def test_needs_nothing_but_channels_and_edges(kind: Kind) -> None:
    conv = kind(16, 32)
    edge_index = torch.randint(10, (2, 40))
    for lead in ((), (5,), (2, 5)):
        x = torch.randn(*lead, 10, 16)
        out = conv(x, edge_index)
        assert out.shape == (*lead, 10, 32)
        torch.testing.assert_close(conv(x, edge_index, torch.ones(40)), out)


def test_edges_without_types_are_in_all_groups() -> None:
    conv = make(DGGraphConv, 3)
    x, (edge_index, edge_weight, _) = features(2, 4), make_graph()
    repeated = edge_index.repeat(1, 3), edge_weight.repeat(3)
    edge_type = torch.arange(3).repeat_interleave(len(edge_weight))
    expected = conv(x, *repeated, edge_type)
    torch.testing.assert_close(conv(x, edge_index, edge_weight), expected)
    matrix = as_matrix(edge_index, edge_weight, torch.zeros_like(edge_index[0]))
    # Several edges between two nodes are one entry of a matrix.
    if len(edge_index.unique(dim=1)[0]) == len(edge_weight):
        torch.testing.assert_close(conv(x, dense_adj=matrix), expected)
    torch.testing.assert_close(conv(x, matrix.to_sparse()), conv(x, dense_adj=matrix))


@pytest.mark.parametrize("num_partitions", [1, 3])
@pytest.mark.parametrize(
    "layout", ["coo", "csr", "csc", pytest.param("torch-sparse", marks=pytest.mark.torch_sparse)]
)
def test_a_sparse_matrix_is_the_dense_one(kind: Kind, layout: str, num_partitions: int) -> None:
    conv, x = make(kind, num_partitions), features(2, 4)
    matrix = as_matrix(*make_graph(num_partitions), num_partitions).requires_grad_()
    sparse = TO_SPARSE[layout](matrix)
    out, expected = conv(x, sparse), conv(x, dense_adj=matrix)
    torch.testing.assert_close(out, expected)
    upstream = torch.randn_like(out)
    found = torch.autograd.grad(out, [matrix, *conv.parameters()], upstream)
    wanted = torch.autograd.grad(expected, [matrix, *conv.parameters()], upstream)
    there = matrix != 0
    torch.testing.assert_close(found[0][there], wanted[0][there])
    torch.testing.assert_close(found[1:], wanted[1:])


@pytest.mark.parametrize("num_partitions", [1, 3])
def test_a_bipartite_graph_is_a_part_of_a_larger_one(kind: Kind, num_partitions: int) -> None:
    conv = make(kind, num_partitions)
    source, target = features(2, 4, nodes=4), features(2, 4, nodes=3)
    edge_type, (end, start) = (
        torch.arange(num_partitions),
        torch.cartesian_prod(torch.arange(3), torch.arange(4)).T,
    )
    edge_index = torch.stack([start, end]).repeat(1, num_partitions)
    edge_type = edge_type.repeat_interleave(12)
    edge_weight = torch.rand(len(edge_type), dtype=torch.float64)
    out = conv((source, target), edge_index, edge_weight, edge_type)
    assert out.shape == (2, 4, 3, OUT)
    shifted = edge_index + torch.tensor([[0], [4]])
    both = conv(torch.cat([source, target], dim=-2), shifted, edge_weight, edge_type)
    torch.testing.assert_close(out, both[..., 4:, :])
    rows = edge_index[1] * num_partitions + edge_type
    matrix = edge_weight.new_zeros(3 * num_partitions, 4)
    matrix = matrix.index_put((rows, edge_index[0]), edge_weight)
    torch.testing.assert_close(conv((source, target), dense_adj=matrix), out)
    torch.testing.assert_close(conv((source, target), matrix.to_sparse()), out)


def test_in_a_heterogeneous_model(kind: Kind) -> None:
    conv = make(kind)
    types = [("road", "leads to", "town"), ("town", "next to", "town")]
    x = {"road": features(nodes=4), "town": features(nodes=3)}
    edges = {types[0]: torch.tensor([[0, 3], [1, 2]]), types[1]: torch.tensor([[0, 1], [1, 0]])}
    model = HeteroConv({types[0]: conv, types[1]: copy.deepcopy(conv)})
    expected = conv((x["road"], x["town"]), edges[types[0]]) + conv(x["town"], edges[types[1]])
    torch.testing.assert_close(model(x, edges)["town"], expected)


def test_nodes_first(kind: Kind) -> None:
    conv, (edge_index, edge_weight, _) = make(kind), make_graph()
    first = make(kind, node_dim=0)
    first.load_state_dict(conv.state_dict())
    x = features(5)
    expected = conv(x, edge_index, edge_weight)
    out = first(x.transpose(0, 1), edge_index, edge_weight)
    torch.testing.assert_close(out, expected.transpose(0, 1))
    torch.testing.assert_close(first(x[0], edge_index), conv(x[0], edge_index))
    matrix = torch.rand(V, V, dtype=torch.float64)
    out = first(x.transpose(0, 1), dense_adj=matrix)
    torch.testing.assert_close(out, conv(x, dense_adj=matrix).transpose(0, 1))


def test_takes_the_clips_of_the_datasets(kind: Kind) -> None:
    edge_index = get_skeleton("coco17").edge_index()
    persons = [torch.randn(number, 9, 17, 3) for number in (2, 1)]
    clips = [Clip(name, 0, person.numpy()) for name, person in zip("ab", persons, strict=True)]
    batch = Batch.from_data_list([clip_to_data(clip, edge_index) for clip in clips])
    assert batch.x.shape == (3 * 17, 9, 3)
    conv, usual = kind(3, OUT, node_dim=0).eval(), kind(3, OUT).eval()
    usual.load_state_dict(conv.state_dict())
    expected = usual(torch.cat(persons), edge_index)  # [P, T, V, C']
    out = conv(batch.x, batch.edge_index).view(3, 17, 9, OUT)
    torch.testing.assert_close(out, expected.transpose(1, 2))


def test_notices_clips_with_nodes_first(kind: Kind) -> None:
    conv, edge_index = make(kind), torch.tensor([[0, 3, V - 1], [1, 2, 0]])
    with pytest.warns(UserWarning, match="make the layer with node_dim=0"):
        conv(features(V, nodes=9), edge_index)
    with pytest.raises(InputError, match=r"6 is out of range; x has 5 nodes.*node_dim=0"):
        conv(features(V, nodes=5), edge_index)
    make(kind, node_dim=0)(features(V, nodes=9), edge_index)
    conv(features(9), edge_index)
    conv(features(V), edge_index)
    conv(features(2, V, nodes=9), edge_index)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_indices_of_any_integer_type(kind: Kind, dtype: torch.dtype) -> None:
    conv, x, (edge_index, edge_weight, edge_type) = make(kind, 3), features(5), make_graph(3)
    expected = conv(x, edge_index, edge_weight, edge_type)
    out = conv(x, edge_index.to(dtype), edge_weight[:, None], edge_type.to(dtype))
    assert torch.equal(out, expected)
    assert torch.equal(conv(x, EdgeIndex(edge_index), edge_weight, edge_type), expected)


def test_weights_of_another_precision(kind: Kind) -> None:
    conv, x, (edge_index, edge_weight, edge_type) = kind(C, OUT, 3), features(5), make_graph(3)
    x = x.float()
    expected = conv(x, edge_index, edge_weight.float(), edge_type)
    assert torch.equal(conv(x, edge_index, edge_weight, edge_type), expected)
    matrix = as_matrix(edge_index, edge_weight, edge_type, 3)
    torch.testing.assert_close(conv(x, dense_adj=matrix), conv(x, dense_adj=matrix.float()))
    ones = torch.ones(len(edge_weight))
    assert torch.equal(
        conv(x, edge_index, ones.long(), edge_type), conv(x, edge_index, ones, edge_type)
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "given", ["edges", "dense", "coo", pytest.param("torch-sparse", marks=pytest.mark.torch_sparse)]
)
def test_half_and_mixed_precision(kind: Kind, given: str, dtype: torch.dtype) -> None:
    conv, x, edges = make(kind, 3).float(), features(2, 5).float(), make_graph(3)
    matrix = as_matrix(*edges, 3).float()
    if given == "edges":
        graph = dict(zip(("edge_index", "edge_weight", "edge_type"), edges, strict=True))
    elif given == "dense":
        graph = {"dense_adj": matrix}
    else:
        graph = {"edge_index": TO_SPARSE[given](matrix)}
    expected = conv(x, **graph)
    limit = 10 * torch.finfo(dtype).eps
    tolerance = {"rtol": 0, "atol": limit * expected.abs().max().item()}
    with torch.autocast("cpu", dtype):
        out = conv(x, **graph)
    torch.testing.assert_close(out.float(), expected, **tolerance)
    gradients, wanted = (
        torch.cat(
            [part.flatten() for part in torch.autograd.grad(y.float().sum(), conv.parameters())]
        )
        for y in (out, expected)
    )
    assert (gradients - wanted).norm() < limit * wanted.norm()
    out = conv.to(dtype)(x.to(dtype), **graph)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), expected, **tolerance)


@pytest.mark.parametrize("num_partitions", [1, 3])
def test_graphs_without_edges_or_nodes(kind: Kind, num_partitions: int) -> None:
    conv, edge_index = make(kind, num_partitions), torch.zeros(2, 0, dtype=torch.long)
    edge_type = torch.zeros(0, dtype=torch.long)
    out = conv(features(5), edge_index, edge_type=edge_type)
    # A node without edges gets what depends on no message.
    torch.testing.assert_close(out, out[:1, :1].expand_as(out))
    matrix = torch.zeros(V * num_partitions, V, dtype=torch.float64)
    torch.testing.assert_close(conv(features(5), dense_adj=matrix), out)
    for lead in ((), (5,), (2, 5)):
        x = features(*lead, nodes=0)
        assert conv(x, edge_index, edge_type=edge_type).shape == (*lead, 0, OUT)


def test_an_isolated_node_is_that_of_an_empty_graph(kind: Kind) -> None:
    conv, x, (edge_index, edge_weight, _) = make(kind), features(5), make_graph()
    out = conv(x, edge_index, edge_weight)
    empty = conv(x, edge_index[:, :0])
    torch.testing.assert_close(out[:, V - 2], empty[:, V - 2])


def test_the_order_of_the_edges_does_not_matter(kind: Kind) -> None:
    conv, x, (edge_index, edge_weight, edge_type) = make(kind, 3), features(5), make_graph(3)
    order = torch.randperm(len(edge_weight))
    out = conv(x, edge_index[:, order], edge_weight[order], edge_type[order])
    torch.testing.assert_close(out, conv(x, edge_index, edge_weight, edge_type))


def test_one_graph_for_torch_compile(kind: Kind) -> None:
    """Without a graph break, and without a new graph for other numbers of nodes and edges."""
    conv = make(kind, 3)
    torch._dynamo.reset()
    graphs = 0

    def count(graph: torch.fx.GraphModule, inputs: object) -> torch.fx.GraphModule:
        nonlocal graphs
        graphs += 1
        return graph

    traced = torch.compile(conv, backend=count, fullgraph=True, dynamic=True)
    for nodes in (V, 12, 30):
        x, given = features(2, 5, nodes=nodes), make_graph(3, nodes)
        torch.testing.assert_close(traced(x, *given), conv(x, *given))
    assert graphs == 1


def test_values_stay_on_the_device(kind: Kind) -> None:
    """A forward pass reads no value, for which a GPU would have to wait: here there are none."""
    conv = make(kind, 3).to("meta")
    x, graph = features(2, 5).to("meta"), [part.to("meta") for part in make_graph(3)]
    assert conv(x, *graph).shape == (2, 5, V, OUT)
    assert conv(x, dense_adj=torch.empty(3 * V, V, device="meta")).shape == (2, 5, V, OUT)


X = torch.randn(V, C, dtype=torch.float64)
EDGES = torch.tensor([[0, 1], [1, 2]])
TYPES = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X[:, :3], EDGES), r"x: 3 channels, shape \(7, 3\), but this layer was made for 6"),
        ((torch.cat([X, X], 1), EDGES), "x: 12 channels.* the channels are the last dimension"),
        ((X[0], EDGES), r"x: shape \(6,\) has no nodes"),
        ((X.long(), EDGES), "x: torch.int64; give floating point numbers"),
        (([X, X, X], EDGES), "x: expected features, or a pair"),
        (((X, None), EDGES), "x: expected features, or a pair"),
        (((X[:, :3], X), EDGES), r"x\[0\]: 3 channels"),
        (((X[None], X), EDGES), "all dimensions but those of nodes and channels must agree"),
        ((X,), "edge_index: missing"),
        ((X, torch.zeros(4, 2).long()), r"sources and targets of edges \[2, E\], got .* \(4, 2\)"),
        ((X, EDGES.double()), "give a matrix as dense_adj"),
        ((X, EDGES.bool()), "expected the indices of edges"),
        ((X, EDGES + 6, None, TYPES), r"edge_index\[0\]: 7 is out of range; x has 7 nodes"),
        (
            (X, EDGES + torch.tensor([[0], [V]]), None, TYPES),
            r"edge_index\[1\]: 9 is out of range; x has 7 nodes",
        ),
        ((X, EDGES - 1, None, TYPES), r"edge_index\[0\]: -1 is out of range"),
        ((X, EDGES, torch.ones(3)), r"edge_weight: shape \(3,\), but there are 2 edges"),
        ((X, EDGES, None, torch.tensor([0, 2])), "edge_type: 2 is out of range; num_partitions"),
        ((X, EDGES, None, torch.tensor([0, -1])), "edge_type: -1 is out of range"),
        ((X, EDGES, None, torch.tensor([0])), r"edge_type: expected whole numbers of shape \(2,\)"),
        ((X, EDGES, None, torch.ones(2)), "edge_type: expected whole numbers .* got torch.float32"),
        ((X, torch.eye(3).to_sparse()), r"size \(3, 3\), but 7 nodes and 2 partitions need \(14"),
        (((X, X[:4]), None, None, None, torch.eye(3)), "7 source nodes, 4 target nodes and 2"),
        ((X, torch.zeros(14, 7).to_sparse(), torch.ones(2)), "leave them out"),
        ((X, None, None, None, torch.zeros(14, 7).to_sparse()), "give it as edge_index"),
    ],
)
def test_says_what_is_wrong(kind: Kind, given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(kind, 2)(*given)


@pytest.mark.parametrize("node_dim", [-1, 1, 2, -3])
def test_a_dimension_without_nodes(kind: Kind, node_dim: int) -> None:
    with pytest.raises(InputError, match=f"no nodes in dimension {node_dim}"):
        kind(C, OUT, node_dim=node_dim)(X.float(), EDGES)


def test_says_which_number_is_wrong(kind: Kind) -> None:
    for options in ((-1, 8), ((3, 3), 8), (3, 0), (3, 8, 0)):
        with pytest.raises(InputError, match="give a whole number of at least 1"):
            kind(*options)


def test_edge_types_are_needed_where_partitions_have_a_meaning(kind: Kind) -> None:
    conv = make(kind, 2)
    if kind is DGGraphConv:
        assert conv(X, EDGES).shape == (V, OUT)
    else:
        with pytest.raises(InputError, match="edge_type: missing, but this layer has 2"):
            conv(X, EDGES)


def test_repr(kind: Kind) -> None:
    assert str(kind(4, 8, 2)) == f"{kind.__name__}(4, 8, num_partitions=2)"


def test_target_features_that_take_part_need_the_channels(kind: Kind) -> None:
    conv, given = make(kind), (X, X[:4, :2])
    if kind is STGraphConv:  # Its messages do not depend on the target.
        assert conv(given, EDGES).shape == (4, OUT)
    else:
        with pytest.raises(InputError, match=r"x\[1\]: 2 channels"):
            conv(given, EDGES)


def test_works_on_batches_of_pyg(kind: Kind) -> None:
    conv = make(kind)
    graphs = [
        Data(x=features(nodes=nodes), edge_index=make_graph(nodes=nodes)[0]) for nodes in (4, 7, 3)
    ]
    batch = Batch.from_data_list(graphs)
    alone = torch.cat([conv(graph.x, graph.edge_index) for graph in graphs])
    torch.testing.assert_close(conv(batch.x, batch.edge_index), alone)
