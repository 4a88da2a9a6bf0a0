"""A graph convolution with the map first is the one with the product first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.functional import conv2d

from pyg_stgcn.nn import Adjacency, STGraphConv, build_matrices
from pyg_stgcn.nn.conv.map_first import MapFirst, _order_and_inverse, _Reorder, partition_weights
from pyg_stgcn.skeletons import get_skeleton

SHAPES = ((4, 3, 2), (5, 3, 4))


def layers(bias: bool = True) -> tuple[list[STGraphConv], list[Adjacency]]:
    torch.manual_seed(0)
    graph = get_skeleton("hand21").graph("spatial")
    convs = [STGraphConv(c, out, 3, bias=bias).double() for out, _, c in SHAPES]
    graphs = [Adjacency(graph, "init").double() for _ in convs]
    for one in graphs:
        torch.nn.init.normal_(one.edge_weight)
    return convs, graphs


@pytest.mark.parametrize("bias", [True, False])
def test_the_order_does_not_change_outputs_and_gradients(bias: bool) -> None:
    convs, graphs = layers(bias)
    parameters = [p for part in (*convs, *graphs) for p in part.parameters()]

    def run(given: list[dict[str, object]]) -> list[Tensor]:
        torch.manual_seed(1)
        x = torch.randn(2, 6, 21, 2, dtype=torch.float64, requires_grad=True)
        out = x
        for conv, graph in zip(convs, given, strict=True):
            out = conv(out, **graph).tanh()
        return [out, *torch.autograd.grad(out.square().sum(), [x, *parameters])]

    expected = run([{"dense_adj": matrix} for matrix in build_matrices(graphs)])
    matrices = build_matrices(graphs, by_source=True)
    pairs = zip(matrices, partition_weights(convs), strict=True)
    found = run([{"edge_index": MapFirst(*pair)} for pair in pairs])
    torch.testing.assert_close(found, expected)


def test_matrices_of_different_graphs_by_source() -> None:
    skeleton = get_skeleton("hand21")
    graphs = [Adjacency(skeleton.graph(name)) for name in ("spatial", "uniform")]
    for matrix, graph in zip(build_matrices(graphs, by_source=True), graphs, strict=True):
        expected = graph.by_partition().permute(2, 1, 0).flatten(1)  # targets, sources, partitions
        assert torch.equal(matrix, expected)


def test_reordering_is_differentiable_twice_and_under_vmap() -> None:
    order, inverse = _order_and_inverse(SHAPES, torch.device("cpu"))
    values = torch.randn(len(order), dtype=torch.float64, requires_grad=True)

    def reordered(values: Tensor) -> Tensor:
        return _Reorder.apply(values, order, inverse)

    assert torch.equal(reordered(values)[inverse], values)
    check = {"check_forward_ad": True, "check_batched_grad": True}
    assert torch.autograd.gradcheck(lambda v: reordered(v).square(), values, **check)
    assert torch.autograd.gradgradcheck(lambda v: reordered(v).pow(3), values)
    batch = torch.randn(3, len(order))
    assert torch.equal(vmap(reordered)(batch), batch[:, order])


def test_inference_before_training() -> None:
    """What inference mode has kept must not stop a later backward pass."""
    torch.manual_seed(0)
    convs = [STGraphConv(3, 7, 2), STGraphConv(7, 4, 2)]
    with torch.inference_mode():
        partition_weights(convs)
    first, second = partition_weights(convs)
    expected = torch.cat(convs[0].weight.split(3, dim=1))
    assert torch.equal(first, expected)
    x = torch.randn(1, 3, 2, 2)
    (conv2d(x, first[:, :, None, None]).sum() + second.sum()).backward()
    assert convs[0].weight.grad is not None and convs[0].weight.grad.is_contiguous()
