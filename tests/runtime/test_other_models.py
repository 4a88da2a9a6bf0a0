"""Compiled models of PyG, of torch and of users: the numbers of the dense model, in every use."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch_geometric.nn as pyg
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch_geometric.utils import to_torch_csr_tensor

from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv, STGraphConv
from pyg_stgcn.runtime import CompiledPart, compile_report, compile_sparse
from pyg_stgcn.runtime.single import SparseLayer
from pyg_stgcn.sparsity import sparsify

pytestmark = [
    pytest.mark.usefixtures("native", "slow_dense"),
    pytest.mark.filterwarnings("ignore"),
]

NODES = 40
EDGES = torch.randint(0, NODES, (2, 150), generator=torch.Generator().manual_seed(0))


class Convs(nn.Module):
    """A convolution of PyG before a linear layer."""

    def __init__(self, conv: nn.Module, *args: Tensor, **kwargs: Tensor) -> None:
        super().__init__()
        self.conv, self.args, self.kwargs = conv, args, kwargs
        self.head = pyg.Linear(16, 16)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.head(self.conv(x, *self.args, edge_index, **self.kwargs).relu())


class Heterogeneous(nn.Module):
    """A model for several types of nodes and edges."""

    def __init__(self) -> None:
        super().__init__()
        metadata = (["a", "b"], [("a", "to", "b"), ("b", "to", "a")])
        self.model = pyg.to_hetero(pyg.GraphSAGE((16, 16), 16, 2), metadata)
        convs = {edge: pyg.SAGEConv((16, 16), 16) for edge in metadata[1]}
        self.conv = pyg.HeteroConv(convs)
        self.each = pyg.HeteroDictLinear(16, 16, metadata[0])
        self.typed = pyg.HeteroLinear(16, 16, 2)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        features = {"a": x, "b": x.flip(0)}
        edges = {("a", "to", "b"): edge_index, ("b", "to", "a"): edge_index.flip(0)}
        features = self.each(self.conv(self.model(features, edges), edges))
        return self.typed(features["a"] + features["b"], torch.arange(len(x)) % 2)


class Residual(nn.Module):
    """A block of a ResNet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.second(self.norm(self.first(x)).relu())).relu()


class Tied(nn.Module):
    """A language model whose output layer is its embedding, with a recurrent network between."""

    def __init__(self, recurrent: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.recurrent = recurrent(16, 16, batch_first=True)
        self.decoder = nn.Linear(16, 50, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.decoder(self.recurrent(self.embedding(tokens))[0])


def graph(channels: int = 16) -> tuple[Tensor, Tensor]:
    return torch.randn(NODES, channels), EDGES


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


LENGTHS = torch.rand(150)
DEGREES = torch.bincount(torch.bincount(EDGES[1], minlength=NODES))
SEQUENCES = (torch.randn(3, 7, 16),)
MODELS: dict[str, Callable[[], tuple[nn.Module, tuple[Any, ...]]]] = {
    "GCN": lambda: (pyg.GCN(16, 16, 3, norm="batch", jk="cat"), graph()),
    "GraphSAGE": lambda: (pyg.GraphSAGE(16, 16, 2, project=True), graph()),
    "GIN": lambda: (pyg.GIN(16, 16, 2), graph()),
    "GAT": lambda: (pyg.GAT(16, 16, 2, heads=2), graph()),
    "GATv2": lambda: (pyg.GAT(16, 16, 2, heads=2, v2=True), graph()),
    "PNA": lambda: (
        pyg.PNA(16, 16, 2, aggregators=["mean", "max"], scalers=["identity"], deg=DEGREES),
        graph(),
    ),
    "EdgeCNN": lambda: (pyg.EdgeCNN(16, 16, 2), graph()),
    "GraphUNet": lambda: (pyg.GraphUNet(16, 16, 16, 2), graph()),
    "LINKX": lambda: (pyg.LINKX(NODES, 16, 16, 16, 2), graph()),
    "TransformerConv": lambda: (Convs(pyg.TransformerConv(16, 16)), graph()),
    "ChebConv": lambda: (Convs(pyg.ChebConv(16, 16, 3)), graph()),
    "TAGConv": lambda: (Convs(pyg.TAGConv(16, 16)), graph()),
    "GCN2Conv": lambda: (
        Convs(pyg.GCN2Conv(16, 0.1, normalize=False), torch.ones(NODES, 16)),
        graph(),
    ),
    "GatedGraphConv": lambda: (Convs(pyg.GatedGraphConv(16, 2)), graph()),
    "FiLMConv": lambda: (Convs(pyg.FiLMConv(16, 16)), graph()),
    "GPSConv": lambda: (Convs(pyg.GPSConv(16, pyg.GINConv(mlp()), heads=4)), graph()),
    "RGCNConv": lambda: (
        Convs(pyg.RGCNConv(16, 16, 2), edge_type=torch.arange(150) % 2),
        graph(),
    ),
    "DeepGCN": lambda: (
        Convs(pyg.DeepGCNLayer(pyg.GENConv(16, 16), nn.LayerNorm(16), nn.ReLU())),
        graph(),
    ),
    "lazy": lambda: (Convs(pyg.SAGEConv(-1, 16)), graph()),
    "heterogeneous": lambda: (Heterogeneous(), graph()),
    "SchNet": lambda: (
        pyg.SchNet(16, 16, 2, interaction_graph=lambda *_: (EDGES, LENGTHS)),
        (torch.arange(NODES) % 8, torch.randn(NODES, 3)),
    ),
    "STGraphConv": lambda: (Convs(STGraphConv(16, 16)), graph()),
    "AAGraphConv": lambda: (Convs(AAGraphConv(16, 16)), graph()),
    "CTRGraphConv": lambda: (Convs(CTRGraphConv(16, 16)), graph()),
    "DGGraphConv": lambda: (
        Convs(DGGraphConv(16, 16, 2), edge_type=torch.arange(150) % 2),
        graph(),
    ),
    "MLP": lambda: (pyg.MLP([16, 32, 16]), graph()[:1]),
    "encoder": lambda: (encoder(), SEQUENCES),
    "Transformer": lambda: (nn.Transformer(16, 2, 1, 1, 32), SEQUENCES * 2),
    "attention": lambda: (nn.MultiheadAttention(16, 2, batch_first=True), SEQUENCES * 3),
    "LSTM": lambda: (Tied(nn.LSTM), (torch.arange(30).view(3, 10),)),
    "GRU": lambda: (Tied(nn.GRU), (torch.arange(30).view(3, 10),)),
    "ResNet": lambda: (
        nn.Sequential(nn.Conv2d(3, 16, 7, stride=2), Residual(16), nn.Flatten(), nn.LazyLinear(9)),
        (torch.randn(2, 3, 20, 20),),
    ),
}


@torch.no_grad()
def same_numbers(found: nn.Module, expected: nn.Module, args: tuple[Any, ...]) -> None:
    torch.testing.assert_close(found(*args), expected(*args), rtol=1e-4, atol=1e-5)


def replaced(model: nn.Module) -> list[str]:
    return [part.name for part in compile_report(model) if part.is_sparse]


@pytest.mark.parametrize("name", MODELS)
def test_stock_networks(name: str) -> None:
    torch.manual_seed(0)
    model, args = MODELS[name]()
    with torch.no_grad():
        model.eval()(*args)  # gives lazy layers their weights
    # A shared parameter cannot carry two masks.
    controller = sparsify(model, 0.95, exclude="decoder.weight" if isinstance(model, Tied) else ())
    masked = compile_sparse(model)
    if name not in {"attention"}:  # whose weights are read, not called
        assert replaced(masked)
    same_numbers(masked, model, args)
    controller.finalize()
    same_numbers(compile_sparse(model), model, args)
    same_numbers(copy.deepcopy(masked), model, args)
    same_numbers(masked.train().eval(), model, args)


class Named(nn.Linear):
    """A layer of the user's with the same forward pass."""


class Louder(nn.Linear):
    """A layer of the user's with another one."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Padded(nn.Conv1d):
    """A convolution of the user's whose inner method differs."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(F.pad(input, (2, 0)), weight, bias)


class Called(nn.Linear):
    """A layer of the user's that is called otherwise."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x) + 1


def on_instance() -> nn.Module:
    layer = nn.Linear(16, 16)
    layer.forward = lambda x: F.linear(x, layer.weight)  # type: ignore[method-assign]
    return layer


def hooked() -> nn.Module:
    layer = nn.Linear(16, 16)
    layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    return layer


def pruned_by_torch() -> nn.Module:
    return prune.l1_unstructured(nn.Linear(16, 16), "weight", 0.9)


@pytest.mark.parametrize(
    ("layer", "is_sparse"),
    [
        (Named(16, 16), True),
        (pyg.Linear(16, 16), True),
        (nn.modules.linear.NonDynamicallyQuantizableLinear(16, 16), True),
        (parametrizations.weight_norm(nn.Linear(16, 16)), True),
        (pruned_by_torch(), True),
        (Louder(16, 16), False),
        (Padded(16, 16, 1), False),
        (Called(16, 16), False),
        (nn.utils.weight_norm(nn.Linear(16, 16)), False),
        (on_instance(), False),
        (hooked(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_derived_layer_is_replaced_if_it_computes_the_same(
    layer: nn.Module, is_sparse: bool
) -> None:
    torch.manual_seed(0)
    compiled = compile_sparse(nn.Sequential(layer.eval()))
    assert isinstance(compiled[0], SparseLayer) == is_sparse
    assert isinstance(compiled[0], type(layer)) or is_sparse
    assert all(bool(part.reason) != is_sparse for part in compile_report(compiled))
    same_numbers(compiled, layer, (torch.randn(16, 16),))


def test_a_replaced_layer_stays_what_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Named(16, 16), nn.ReLU())
    model[0].register_buffer("scale", torch.ones(1))
    seen: list[Tensor] = []
    model[0].register_forward_hook(lambda module, args, output: seen.append(output))
    compiled = compile_sparse(model)
    layer = compiled[0]
    assert isinstance(layer, Named) and layer.in_features == 16 and not layer.training
    assert torch.equal(layer.weight, model[0].weight) and torch.equal(layer.scale, torch.ones(1))
    x = torch.randn(5, 16)
    out = compiled(x)
    assert len(seen) == 1 and torch.equal(seen[0].relu(), out)


def test_calls_that_the_kernels_cannot_answer() -> None:
    """Autocast, gradients, other types and wrong sizes: answered as by the dense layer."""
    torch.manual_seed(0)
    model = pyg.MLP([16, 32, 16], norm=None).eval()
    compiled = compile_sparse(model)
    x = torch.randn(9, 16)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(compiled(x), model(x))
    saliency = [
        torch.autograd.grad(f(y).sum(), y)[0]
        for f in (compiled, model)
        for y in [x.clone().requires_grad_()]
    ]
    torch.testing.assert_close(*saliency)
    torch.testing.assert_close(torch.func.vmap(compiled)(x), model(x))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        compiled(torch.randn(9, 17))
    torch.testing.assert_close(
        compiled.double()(x.double()), copy.deepcopy(model).double()(x.double())
    )


def test_pickled() -> None:
    torch.manual_seed(0)
    model = mlp().eval()
    compiled = pickle.loads(pickle.dumps(compile_sparse(model)))
    assert len(replaced(compiled)) == 2
    same_numbers(compiled, model, (torch.randn(9, 16),))


def test_compiled_by_torch_too() -> None:
    torch.manual_seed(0)
    model = mlp().eval()
    traced = torch.compile(compile_sparse(model), backend="eager", fullgraph=True)
    for rows in (1, 40):
        same_numbers(traced, model, (torch.randn(rows, 16),))


@pytest.mark.parametrize("padded", [False, True])
def test_sequences_of_unequal_length(padded: bool) -> None:
    """With a mask, torch packs the sequences into nested tensors."""
    torch.manual_seed(0)
    model = encoder().eval()
    compiled = compile_sparse(model)
    assert "layers.0.linear1" in replaced(compiled)
    mask = torch.arange(7) >= torch.tensor([[7], [4], [5]])
    x = torch.randn(3, 7, 16)
    with torch.inference_mode():
        found, expected = (
            f(x, src_key_padding_mask=mask if padded else None) for f in (compiled, model)
        )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_tied_weights_stay_tied() -> None:
    compiled = compile_sparse(Tied(nn.LSTM))
    assert compiled.decoder.weight is compiled.embedding.weight
    shared = nn.Linear(16, 16)
    compiled = compile_sparse(nn.Sequential(shared, nn.ReLU(), shared))
    assert compiled[0] is compiled[2] and isinstance(compiled[0], SparseLayer)


def test_tensors_of_an_earlier_pass_do_not_matter() -> None:
    class Remembers(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.last = super().forward(x)
            return self.last

    model = nn.Sequential(Remembers(16, 16), nn.Linear(16, 16))
    x = torch.randn(3, 16)
    model(x)
    same_numbers(compile_sparse(model), model, (x,))


def test_graphs_that_a_model_has_cached() -> None:
    torch.manual_seed(0)
    model = pyg.GCN(16, 16, 2, cached=True).eval()
    args = torch.randn(NODES, 16), to_torch_csr_tensor(EDGES, size=(NODES, NODES))
    with torch.no_grad():
        model(*args)
    same_numbers(compile_sparse(model), model, args)


def test_the_report_names_every_part_and_its_reason() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "sparse": nn.Linear(16, 16),
            "two_dimensions": nn.Conv2d(4, 4, 3),
            "groups": nn.Conv1d(4, 4, 3, groups=2),
            "wide": nn.Linear(4, 4).double(),
            "attention": nn.MultiheadAttention(16, 2),
            "adaptive": AAGraphConv(16, 16),
            "embedding": nn.Embedding(3, 4),
            "norm": nn.BatchNorm1d(4),
        }
    )
    with torch.no_grad():
        model["sparse"].weight[4:] = 0
    report = compile_report(compile_sparse(model))
    assert report[0] == CompiledPart("sparse", "SparseLinear", 0.75, "")
    reasons = {part.name: part.reason for part in report}
    for name, reason in {
        "two_dimensions": "two dimensions",
        "groups": "groups=2",
        "wide": "float64",
        "attention": "do not support MultiheadAttention",
        "attention.out_proj": "MultiheadAttention reads its weight",
        "embedding": "do not support Embedding",
    }.items():
        assert reason in reasons.pop(name)
    assert reasons == {"sparse": "", "adaptive": "", "adaptive.embed": ""}
