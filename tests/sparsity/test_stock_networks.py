"""Masks on layers and networks of torch and PyG as they are."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch_geometric import nn as gnn

from pyg_stgcn.sparsity import SparsityController, masked_parameters, sparsify, summary

SPARSITY = 0.8


class SelfAttention(nn.Module):
    def __init__(self, own_sizes: bool) -> None:
        super().__init__()
        self.width = 6 if own_sizes else 12
        self.attention = nn.MultiheadAttention(
            12, 2, kdim=self.width, vdim=self.width, batch_first=True
        )

    def forward(self, x: Tensor) -> Tensor:
        other = x[..., : self.width]
        return self.attention(x, other, other, need_weights=False)[0]


def sequence() -> tuple[Tensor, ...]:
    return (torch.randn(3, 5, 12),)


def vectors() -> tuple[Tensor, ...]:
    return (torch.randn(7, 12),)


def graph(*further: Callable[[int], Tensor]) -> Callable[[], tuple[Tensor, ...]]:
    def make() -> tuple[Tensor, ...]:
        return (torch.randn(9, 12), torch.randint(9, (2, 25)), *(each(25) for each in further))

    return make


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


def types(num: int) -> Tensor:
    return torch.randint(3, (num,))


def features(num: int) -> Tensor:
    return torch.rand(num, 2)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8))


LSTM = ["weight_ih_l0", "weight_hh_l0"]
BOTH = [name + suffix for suffix in ("", "_reverse") for name in LSTM]
LINEARS = ["self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight"]

#: The network, its inputs, the weights that are masked, and those that a warning names.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable, list[str], list[str]]] = {
    "attention": (
        lambda: SelfAttention(False),
        sequence,
        ["attention.in_proj_weight", "attention.out_proj.weight"],
        [],
    ),
    "attention of three sizes": (
        lambda: SelfAttention(True),
        sequence,
        [f"attention.{part}_proj_weight" for part in "qkv"] + ["attention.out_proj.weight"],
        [],
    ),
    "transformer": (
        encoder,
        sequence,
        [f"layers.{i}.{name}" for i in (0, 1) for name in [*LINEARS, "linear2.weight"]],
        [],
    ),
    "LSTM": (lambda: nn.LSTM(12, 8, bidirectional=True, batch_first=True), sequence, BOTH, []),
    "GRU": (lambda: nn.GRU(12, 8, batch_first=True), sequence, LSTM, []),
    "cell": (lambda: nn.GRUCell(12, 8), vectors, ["weight_ih", "weight_hh"], []),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(20, 12), nn.Linear(12, 4)),
        lambda: (torch.randint(20, (7,)),),
        ["1.weight"],
        [],
    ),
    "normalised": (
        lambda: nn.Sequential(weight_norm(nn.Linear(12, 8)), nn.Linear(8, 8)),
        vectors,
        ["1.weight"],
        ["0.weight"],
    ),
    "GraphSAGE": (
        lambda: gnn.GraphSAGE(12, 8, 1),
        graph(),
        ["convs.0.lin_l.weight", "convs.0.lin_r.weight"],
        [],
    ),
    "GAT": (lambda: gnn.GATConv(12, 8, heads=2), graph(), ["lin.weight"], []),
    "RGCN": (lambda: gnn.RGCNConv(12, 8, 3), graph(types), ["weight"], ["root"]),
    "transformer of a graph": (
        lambda: gnn.TransformerConv(12, 8, edge_dim=2),
        graph(features),
        [f"lin_{part}.weight" for part in ("key", "query", "value", "edge", "skip")],
        [],
    ),
    "GINE": (
        lambda: gnn.GINEConv(mlp(), edge_dim=2),
        graph(features),
        ["nn.0.weight", "nn.2.weight", "lin.weight"],
        [],
    ),
    "types": (
        lambda: gnn.HeteroLinear(12, 8, 3),
        lambda: (*vectors(), types(7)),
        ["weight"],
        [],
    ),
    "gated": (
        lambda: gnn.GatedGraphConv(12, 2),
        graph(),
        ["weight", "rnn.weight_ih", "rnn.weight_hh"],
        [],
    ),
    "ARMA": (
        lambda: gnn.ARMAConv(12, 8, num_stacks=2),
        graph(),
        ["weight", "init_weight", "root_weight"],
        [],
    ),
    "mixture": (
        lambda: gnn.GMMConv(12, 8, 2, 3),
        graph(features),
        ["root.weight"],
        ["g", "mu", "sigma"],
    ),
}


def output(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    found = module(*inputs)
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", NETWORKS)
def test_stock_networks_compute_with_zeros_in_place_of_pruned_weights(name: str) -> None:
    make, make_inputs, masked, left_dense = NETWORKS[name]
    torch.manual_seed(0)
    module, inputs = make(), make_inputs()
    plain = copy.deepcopy(module)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        controller = sparsify(module, SPARSITY)
    assert [entry.name for entry in masked_parameters(module)] == masked
    told = [str(warning.message) for warning in caught]
    assert len(told) == bool(left_dense)
    for line in told:
        assert f"keeps {', '.join(left_dense)} dense" in line
    assert set(left_dense) <= set(summary(module).dense)

    # The plain network with zeros written into its weights.
    for entry in masked_parameters(module):
        plain.get_parameter(entry.name).data[~entry.mask] = 0
    sizes = [plain.get_parameter(weight).numel() for weight in masked]
    zeros = sum(int((plain.get_parameter(weight) == 0).sum()) for weight in masked)
    assert zeros == round(SPARSITY * (sum(sizes) - 1))

    def check_equal() -> None:
        for training, grad in ((True, True), (False, True), (False, False)):
            with torch.set_grad_enabled(grad):
                module.train(training)
                plain.train(training)
                torch.testing.assert_close(output(module, inputs), output(plain, inputs))

    check_equal()
    module.train()
    output(module, inputs).sum().backward()
    SparsityController(copy.deepcopy(module)).finalize()
    check_equal()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    optimizer.step()
    controller.step(optimizer)
    controller.finalize()
    plain.load_state_dict(module.state_dict())
    check_equal()


def test_the_warning_names_a_remedy() -> None:
    layer = gnn.RGCNConv(12, 8, 3)
    with pytest.warns(UserWarning, match=r"RGCNConv keeps root dense.*include=\['\*', 'root'\]"):
        sparsify(layer, SPARSITY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsify(gnn.RGCNConv(12, 8, 3), SPARSITY, exclude="root")
        both = gnn.RGCNConv(12, 8, 3)
        sparsify(both, SPARSITY, include=["*", "root"])
    assert [entry.name for entry in masked_parameters(both)] == ["weight", "root"]


def test_recurrent_layers_stay_themselves_when_moved_and_copied() -> None:
    torch.manual_seed(0)
    lstm, x = nn.LSTM(6, 4), torch.randn(5, 2, 6)
    controller = sparsify(lstm, SPARSITY)
    expected = lstm(x)[0]
    assert lstm.double()(x.double())[0].float().allclose(expected)
    twin = copy.deepcopy(lstm.float())
    lstm.flatten_parameters()
    with torch.no_grad():
        for entry in masked_parameters(twin):
            entry.weight.fill_(0)
    assert not twin(x)[0].allclose(expected)
    assert lstm(x)[0].allclose(expected)
    controller.finalize()
    assert type(lstm) is nn.LSTM
    with torch.no_grad():
        lstm.weight_ih_l0.fill_(0)
        lstm.weight_hh_l0.fill_(0)
    assert lstm(x)[0].allclose(nn.LSTM.forward(lstm, torch.zeros_like(x))[0])
