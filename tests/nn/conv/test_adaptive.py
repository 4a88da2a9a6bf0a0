"""The graph convolutions that learn a part of their graph, against their published formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.typing import SparseTensor

from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv
from pyg_stgcn.nn.conv.adaptive import AdaptiveGraphConv

K, V, T, C, OUT = 2, 6, 5, 4, 8
Kind = type[AdaptiveGraphConv]


def aagcn(conv: AAGraphConv, x: Tensor, prior: Tensor, edges: Tensor) -> Tensor:
    """The published sum over ``prior [K, V, W]``, of which ``edges`` are there."""
    a, b = conv.embed(x).view(*x.shape[:3], 2, K, -1).unbind(3)
    similarity = torch.einsum("ptvke,ptwke->pkvw", a, b) / (a.size(1) * a.size(-1))
    graph = (prior + conv.alpha * similarity.tanh()) * edges
    z = torch.einsum("ptvc,pkvw->ptwkc", x, graph)
    weight = conv.weight.view(OUT, K, C)
    return torch.einsum("ptwkc,okc->ptwo", z, weight) + conv.bias.view(K, OUT).sum(0)


def ctrgcn(conv: CTRGraphConv, x: Tensor, prior: Tensor, edges: Tensor) -> Tensor:
    """The same for CTR-GCN."""
    p, q = conv.relate(x).mean(1).view(len(x), V, 2, K, -1).unbind(2)
    relation = (p[:, :, None] - q[:, None]).tanh()
    weight, bias = conv.refine.weight.view(K, OUT, -1), conv.refine.bias.view(K, OUT)
    refined = torch.einsum("pvwkr,kor->pkovw", relation, weight) + bias[..., None, None]
    graph = (prior[:, None] + conv.alpha * refined) * edges[:, None]
    return torch.einsum("ptvko,pkovw->ptwo", conv.value(x).view(*x.shape[:3], K, OUT), graph)


def dgstgcn(conv: DGGraphConv, x: Tensor, prior: Tensor, edges: Tensor) -> Tensor:
    """The same for DG-STGCN, whose softmax is over the remaining sources."""
    p, q = conv.relate(x.mean(1)).view(len(x), V, 2, K, -1).permute(2, 0, 3, 4, 1)
    difference = (p[..., :, None] - q[..., None, :]).tanh()
    score = torch.einsum("pkcv,pkcw->pkvw", p, q).exp() * edges
    attention = score / score.sum(2, keepdim=True).clamp(min=1e-30)
    alpha = conv.alpha if conv.subset_wise else conv.alpha[0].expand(K)
    beta = conv.beta if conv.subset_wise else conv.beta[0].expand(K)
    graph = prior[:, None] + alpha.view(-1, 1, 1, 1) * difference
    graph = (graph + (beta.view(-1, 1, 1) * attention).unsqueeze(2)) * edges[:, None]
    h = conv.pre(x)
    norm = conv.pre_norm
    h = (h - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    h = h.relu().view(*x.shape[:3], K, -1)
    return conv.post(torch.einsum("ptvkc,pkcvw->ptwkc", h, graph).flatten(3))


PUBLISHED: dict[Kind, Callable[..., Tensor]] = {
    AAGraphConv: aagcn,
    CTRGraphConv: ctrgcn,
    DGGraphConv: dgstgcn,
}


@pytest.fixture(params=PUBLISHED, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def make(kind: Kind, num_partitions: int = K, **options: object) -> AdaptiveGraphConv:
    """A layer whose learnt part is far from zero."""
    conv = kind(C, OUT, num_partitions, **options).double().eval()
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.rand_like(parameter) - 0.3)
    return conv


def inputs(density: float) -> tuple[Tensor, Tensor, Tensor]:
    """Features, a prior of all pairs, and which of the pairs are edges."""
    x = torch.randn(3, T, V, C, dtype=torch.float64, requires_grad=True)
    prior = torch.rand(K, V, V, dtype=torch.float64) + 0.1
    edges = torch.rand(K, V, V) < density
    edges[0, :, 1] = density == 1  # A node at which no edge arrives.
    return x, prior, edges


def as_edges(prior: Tensor, edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Edges in any order, with their weights and types."""
    place = edges.nonzero()[torch.randperm(int(edges.sum()))]
    edge_type, source, target = place.t()
    return torch.stack([source, target]), prior[edge_type, source, target], edge_type


def as_matrix(prior: Tensor, edges: Tensor) -> Tensor:
    return (prior * edges).permute(2, 0, 1).reshape(V * K, V)


@pytest.mark.usefixtures("_default_device")
@pytest.mark.parametrize("density", [1.0, 0.4])
@pytest.mark.parametrize(
    "given", ["edges", "matrix", pytest.param("sparse", marks=pytest.mark.torch_sparse)]
)
def test_equals_the_published_formula(kind: Kind, given: str, density: float) -> None:
    conv = make(kind)
    x, prior, edges = inputs(density)
    prior.requires_grad_()
    expected = PUBLISHED[kind](conv, x, prior, edges)
    if given == "edges":
        out = conv(x, *as_edges(prior, edges))
    else:
        matrix = as_matrix(prior, edges)
        if given == "sparse":
            out = conv(x, SparseTensor.from_dense(matrix))
        else:
            out = conv(x, dense_adj=matrix)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)

    upstream = torch.randn_like(out)
    wanted_of = [x, prior, *conv.parameters()]
    found = torch.autograd.grad(out, wanted_of, upstream, allow_unused=True)
    wanted = torch.autograd.grad(expected, wanted_of, upstream, allow_unused=True)
    for actual, grad in zip(found, wanted, strict=True):
        torch.testing.assert_close(actual, grad, rtol=0, atol=1e-10)


def test_every_partition_with_factors_of_its_own() -> None:
    conv = make(DGGraphConv, subset_wise=True)
    x, prior, edges = inputs(0.4)
    expected = dgstgcn(conv, x, prior, edges)
    torch.testing.assert_close(conv(x, dense_adj=as_matrix(prior, edges)), expected)
    torch.testing.assert_close(conv(x, *as_edges(prior, edges)), expected)


def test_an_edge_of_weight_zero_is_gone(kind: Kind) -> None:
    conv = make(kind)
    x, prior, edges = inputs(0.4)
    expected = conv(x, *as_edges(prior, edges))
    everywhere = torch.ones_like(edges)
    out = conv(x, *as_edges(prior * edges, everywhere))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    # From joint 0 to joint 2 in no partition: what happens at 0 is not noticed at 2.
    edges[:, 0, 2] = False
    out = conv(x, dense_adj=as_matrix(prior, edges))
    (grad,) = torch.autograd.grad(out[:, :, 2].sum(), x)
    assert torch.equal(grad[:, :, 0], torch.zeros_like(grad[:, :, 0]))
    assert grad[:, :, 2:].abs().sum() > 0


def test_a_zero_may_become_an_edge_again(kind: Kind) -> None:
    conv = make(kind)
    x, prior, edges = inputs(0.4)
    matrix = as_matrix(prior, edges).requires_grad_()
    (grad,) = torch.autograd.grad(conv(x, dense_adj=matrix).square().sum(), matrix)
    assert (grad[matrix == 0] != 0).all()


@pytest.mark.parametrize("lead", [(), (T,), (2, T), (2, 3, T)])
def test_any_leading_dimensions(kind: Kind, lead: tuple[int, ...]) -> None:
    conv = make(kind)
    _, prior, edges = inputs(0.4)
    x = torch.randn(*lead, V, C, dtype=torch.float64)
    out = conv(x, *as_edges(prior, edges))
    assert out.shape == (*lead, V, OUT)
    torch.testing.assert_close(out, conv(x, dense_adj=as_matrix(prior, edges)))
    persons = x.view(-1, lead[-1] if lead else 1, V, C)
    alone = torch.cat([conv(person, dense_adj=as_matrix(prior, edges)) for person in persons])
    torch.testing.assert_close(out.view(-1, V, OUT), alone.view(-1, V, OUT))


def test_follows_a_renumbering_of_the_nodes(kind: Kind) -> None:
    conv = make(kind)
    x, prior, edges = inputs(0.4)
    edge_index, edge_weight, edge_type = as_edges(prior, edges)
    number = torch.randperm(V)
    renumbered = torch.empty_like(x)
    renumbered[:, :, number] = x.detach()
    out = conv(renumbered, number[edge_index], edge_weight, edge_type)
    expected = conv(x, edge_index, edge_weight, edge_type)
    torch.testing.assert_close(out[:, :, number], expected)


def test_starts_with_the_prior_alone(kind: Kind) -> None:
    conv = kind(C, OUT, K).double().eval()
    x, prior, edges = inputs(1.0)
    matrix = as_matrix(prior, edges)
    before = conv(x, dense_adj=matrix)
    with torch.no_grad():
        for name, parameter in conv.named_parameters():
            if name.split(".")[0] in ("embed", "relate", "refine"):
                parameter.normal_()
    torch.testing.assert_close(conv(x, dense_adj=matrix), before)


def test_reset_parameters(kind: Kind) -> None:
    conv = kind(C, OUT, K)
    before = {name: value.clone() for name, value in conv.state_dict().items()}
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.add_(1)
    conv.reset_parameters()
    for name, value in conv.named_parameters():
        is_drawn = bool(before[name].any()) and "norm" not in name
        assert torch.equal(value, before[name]) != is_drawn, name


def test_starting_weights() -> None:
    def assert_normal(weight: Tensor, variance: float) -> None:
        torch.testing.assert_close(weight.var().item(), variance, rtol=0.1, atol=0)

    aa, ctr = AAGraphConv(64, 128, 3), CTRGraphConv(64, 128, 3)
    assert_normal(aa.embed.weight, 2 / 32)
    assert_normal(aa.weight, 2 / (128 * 64 * 3))
    assert_normal(ctr.relate.weight, 2 / 8)
    for layer in (ctr.value, ctr.refine):
        assert_normal(layer.weight, 2 / 128)
    for bias in (aa.embed.bias, aa.bias, ctr.relate.bias, ctr.value.bias, ctr.refine.bias):
        assert not bias.any()
