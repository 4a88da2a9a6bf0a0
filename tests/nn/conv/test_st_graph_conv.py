from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.typing import SparseTensor

from pyg_stgcn.nn import STGraphConv
from pyg_stgcn.nn.conv import st_graph_conv

V = 7
FORMATS = ["edge_index", "dense", pytest.param("sparse", marks=pytest.mark.torch_sparse)]


def edges(num_partitions: int) -> tuple[Tensor, Tensor, Tensor]:
    """A random graph; the last node has no incoming edges."""
    places = torch.randperm(num_partitions * V * (V - 1))[: 6 * num_partitions]
    edge_type, pairs = places // (V * (V - 1)), places % (V * (V - 1))
    edge_index = torch.stack([pairs // (V - 1), pairs % (V - 1)])
    return edge_index, edge_type, torch.randn(places.numel(), dtype=torch.float64)


def einsum(
    x: Tensor,
    edge_index: Tensor,
    edge_type: Tensor,
    edge_weight: Tensor,
    weight: Tensor,
    bias: Tensor,
    num_partitions: int,
) -> Tensor:
    """The reference: first a 1x1 convolution with bias, then the graph product."""
    dense = edge_weight.new_zeros(num_partitions, V, V)
    dense = dense.index_put((edge_type, edge_index[0], edge_index[1]), edge_weight)
    by_partition = weight.view(weight.size(0), num_partitions, -1)
    z = torch.einsum("...vi,oki->...vko", x, by_partition) + bias.view(num_partitions, -1)
    return torch.einsum("...vko,kvw->...wo", z, dense)


def as_matrix(
    edge_index: Tensor, edge_type: Tensor, edge_weight: Tensor, num_partitions: int
) -> Tensor:
    rows = edge_index[1] * num_partitions + edge_type
    return edge_weight.new_zeros(V * num_partitions, V).index_put(
        (rows, edge_index[0]), edge_weight
    )


@pytest.mark.usefixtures("_default_device")
@pytest.mark.parametrize("lead", [(), (4,), (2, 5)])
@pytest.mark.parametrize("in_channels", [3, 9])
@pytest.mark.parametrize("num_partitions", [1, 3])
@pytest.mark.parametrize("given", FORMATS)
def test_equals_the_reference(
    given: str, num_partitions: int, in_channels: int, lead: tuple[int, ...]
) -> None:
    conv = STGraphConv(in_channels, 4, num_partitions).double()
    edge_index, edge_type, edge_weight = edges(num_partitions)
    edge_weight.requires_grad_()
    x = torch.randn(*lead, V, in_channels, dtype=torch.float64, requires_grad=True)
    expected = einsum(x, edge_index, edge_type, edge_weight, conv.weight, conv.bias, num_partitions)
    if given == "edge_index":
        out = conv(x, edge_index, edge_weight, edge_type if num_partitions > 1 else None)
    else:
        matrix = as_matrix(edge_index, edge_type, edge_weight, num_partitions)
        graph = {"dense_adj": matrix}
        if given == "sparse":
            graph = {"edge_index": SparseTensor.from_dense(matrix)}
        out = conv(x, **graph)
    assert out.shape == (*lead, V, 4)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)

    upstream = torch.randn_like(out)
    inputs = [x, edge_weight, conv.weight, conv.bias]
    found = torch.autograd.grad(out, inputs, upstream)
    for actual, wanted in zip(found, torch.autograd.grad(expected, inputs, upstream), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("in_channels", [2, 8])
def test_gradients_of_the_functional_version(in_channels: int) -> None:
    inputs = (
        torch.randn(2, V, in_channels, dtype=torch.float64, requires_grad=True),
        torch.randn(2 * V, V, dtype=torch.float64, requires_grad=True),
        torch.randn(3, 2 * in_channels, dtype=torch.float64, requires_grad=True),
        torch.randn(2 * 3, dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(st_graph_conv, inputs)


def test_without_weights_every_edge_counts_once() -> None:
    conv = STGraphConv(3, 4)
    edge_index, _, edge_weight = edges(1)
    x = torch.randn(5, V, 3)
    ones = torch.ones_like(edge_weight).float()
    expected = conv(x, edge_index, ones)
    torch.testing.assert_close(conv(x, edge_index), expected)


@pytest.mark.torch_sparse
def test_a_sparse_matrix_without_values_counts_every_edge_once() -> None:
    conv = STGraphConv(3, 4)
    edge_index, _, _ = edges(1)
    x = torch.randn(5, V, 3)
    matrix = SparseTensor(row=edge_index[1], col=edge_index[0], sparse_sizes=(V, V))
    torch.testing.assert_close(conv(x, matrix), conv(x, edge_index))


def test_the_bias_is_part_of_the_message() -> None:
    conv = STGraphConv(3, 4)
    edge_index = torch.tensor([[0, 1, 2], [2, 2, 0]])
    out = conv(torch.zeros(V, 3), edge_index, torch.tensor([0.5, 2.0, -1.0]))
    expected = torch.zeros(V, 4)
    expected[2], expected[0] = 2.5 * conv.bias, -conv.bias
    torch.testing.assert_close(out, expected)


def test_without_bias() -> None:
    conv = STGraphConv(3, 4, bias=False)
    assert [name for name, _ in conv.named_parameters()] == ["weight"]
    edge_index, _, _ = edges(1)
    out = conv(torch.zeros(V, 3), edge_index)
    assert torch.equal(out, torch.zeros(V, 4))


@pytest.mark.parametrize("given", FORMATS)
def test_follows_a_renumbering_of_the_nodes(given: str) -> None:
    conv = STGraphConv(3, 4, 2).double()
    edge_index, edge_type, edge_weight = edges(2)
    x = torch.randn(5, V, 3, dtype=torch.float64)
    number = torch.randperm(V)

    def run(x: Tensor, edge_index: Tensor) -> Tensor:
        if given == "edge_index":
            return conv(x, edge_index, edge_weight, edge_type)
        matrix = as_matrix(edge_index, edge_type, edge_weight, 2)
        if given == "sparse":
            return conv(x, SparseTensor.from_dense(matrix))
        return conv(x, dense_adj=matrix)

    renumbered = torch.empty_like(x)
    renumbered[:, number] = x
    torch.testing.assert_close(run(renumbered, number[edge_index])[:, number], run(x, edge_index))


def test_starts_as_a_convolution_would() -> None:
    conv = STGraphConv(16, 32, 3)
    for parameter in (conv.weight, conv.bias):
        assert parameter.abs().max() <= 0.25
        assert parameter.abs().max() > 0.2
    before = conv.weight.clone()
    conv.reset_parameters()
    assert not torch.equal(conv.weight, before)
