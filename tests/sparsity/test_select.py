import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN, GraphNorm

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import masked_parameters, sparsify


class Net(nn.Module):
    """One of each: embedding, convolution, norms, linear layer, edge weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.conv = nn.Conv2d(4, 6, (9, 1))
        self.norm = nn.BatchNorm2d(6)
        self.wide_norm = nn.LayerNorm((6, 2))
        self.graph_norm = GraphNorm(6)
        self.act = nn.PReLU()
        self.edge_weight = nn.Parameter(torch.ones(13))
        self.count = nn.Parameter(torch.zeros(3, 3, dtype=torch.long), requires_grad=False)
        self.head = nn.Linear(6, 3)


def names(module: nn.Module) -> list[str]:
    return [entry.name for entry in masked_parameters(module)]


def masked(**options) -> list[str]:
    module = Net()
    sparsify(module, 0.5, **options)
    return names(module)


def test_default_takes_weights_but_no_norms_embeddings_or_edges() -> None:
    assert masked() == ["conv.weight", "head.weight"]
    assert masked(edge_sparsity=0.5) == ["edge_weight", "conv.weight", "head.weight"]


def test_patterns_and_predicates() -> None:
    assert masked(exclude="head.*") == ["conv.weight"]
    assert masked(exclude=["conv.*", "norm.*"]) == ["head.weight"]
    assert masked(include="[cgh]*.bias") == ["conv.bias", "graph_norm.bias", "head.bias"]
    # Where a pattern meets weights, it leaves the biases and norms beside them alone.
    assert masked(include="conv.*") == ["conv.weight"]
    assert masked(include=["*"]) == ["conv.weight", "head.weight"]
    assert masked(include=["conv.*", "*norm.bias"]) == [
        "conv.weight",
        "norm.bias",
        "wide_norm.bias",
        "graph_norm.bias",
    ]
    assert masked(include=["embed.weight", "head.weight"]) == ["embed.weight", "head.weight"]
    assert masked(include=lambda name, p: p.dim() == 4) == ["conv.weight"]
    assert masked(include="edge_weight", edge_sparsity=0.5) == ["edge_weight"]
    assert masked(exclude=lambda name, p: p.dim() == 4) == ["head.weight"]


def test_parameters_of_stock_pyg_layers() -> None:
    gcn = GCN(34, 16, 2, 4, norm="batch_norm")
    sparsify(gcn, 0.5)
    assert names(gcn) == ["convs.0.lin.weight", "convs.1.lin.weight"]


def test_nothing_to_mask() -> None:
    with pytest.raises(InputError, match=r"conv\.wieght.*choose among conv\.weight, head\.weight"):
        masked(include="conv.wieght")
    with pytest.raises(InputError, match=r"exclude='haed\.\*' matches no parameter"):
        masked(exclude="haed.*")
    with pytest.raises(InputError, match=r"gcn.*choose among"):
        masked(include=["conv.*", "gcn.*"])
    with pytest.raises(InputError, match=r"exclude='\*'"):
        masked(exclude="*")
    with pytest.raises(InputError, match="edge weights aside"):
        masked(include="edge_weight")
    with pytest.raises(InputError, match="no parameters"):
        sparsify(nn.ReLU(), 0.5)


def test_shared_parameters_are_refused_and_shared_modules_masked_once() -> None:
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    with pytest.raises(InputError, match=r"0\.weight and 1\.weight"):
        sparsify(tied, 0.5)
    assert not masked_parameters(tied)

    layer = nn.Linear(8, 8)
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    controller = sparsify(twice, 0.75)
    assert names(twice) == ["0.weight"]
    assert controller.sparsity == round(0.75 * 63) / 64
    x = torch.randn(3, 8)
    expected = twice(x)
    controller.finalize()
    assert twice(x).equal(expected)


def test_parameters_without_values_are_refused() -> None:
    with pytest.raises(InputError, match=r"lin\.weight has no shape yet"):
        sparsify(GCN(-1, 16, 1), 0.5)
    with pytest.warns(UserWarning, match="zero-element"):
        empty = nn.Linear(0, 3)
    with pytest.raises(InputError, match=r"weight of shape \(3, 0\) is empty"):
        sparsify(empty, 0.5)
