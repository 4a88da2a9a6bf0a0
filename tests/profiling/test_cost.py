"""Counts of multiply-accumulates, time and memory."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn import create_model
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import STGCN, Assembly, random_clips
from pyg_stgcn.nn import STGraphConv
from pyg_stgcn.profiling.cost import count_macs, measure_forward
from pyg_stgcn.sparsity import sparsify

# PYSKL's numbers for a clip of two persons, 100 frames, ntu25, width 64, without a head.
PUBLISHED_GMACS = {
    "stgcn": 5.70,
    "stgcnpp": 2.93,
    "aagcn": 6.47,
    "ctrgcn": 2.97,
    "dgstgcn": 2.50,
}


@pytest.mark.parametrize("name", PUBLISHED_GMACS)
def test_published_counts(name: str) -> None:
    model = create_model(name, 60, "ntu25")
    layers = count_macs(model, random_clips(model, 1, 2, 100))
    without_head = sum(layer.macs for layer in layers if not layer.name.startswith("head"))
    assert without_head / 1e9 == pytest.approx(PUBLISHED_GMACS[name], abs=0.0051)
    assert all(layer.effective_macs <= layer.macs for layer in layers)


@pytest.mark.parametrize("name", PUBLISHED_GMACS)
def test_counts_grow_with_persons_and_ignore_values(name: str) -> None:
    model = create_model(name, 5, "coco17", base_channels=8)
    one = count_macs(model, random_clips(model, 1, 1, 16))
    two = count_macs(model, random_clips(model, 1, 2, 16))
    four = count_macs(model, random_clips(model, 2, 2, 16))
    assert [layer.name for layer in one] == [layer.name for layer in two]
    for single, double, quadruple in zip(one, two, four, strict=True):
        if single.name.startswith("head"):
            assert single.macs == double.macs == quadruple.macs / 2
        else:
            assert 4 * single.macs == 2 * double.macs == quadruple.macs
            assert 4 * single.effective_macs == quadruple.effective_macs


def test_pruned_weights_and_edges_do_not_count() -> None:
    torch.manual_seed(0)
    model = create_model("stgcn", 5, "coco17", base_channels=8, graph="random")
    batch = random_clips(model, 1, 1, 10)
    dense = {layer.name: layer for layer in count_macs(model, batch)}
    controller = sparsify(model, 0.9, edge_sparsity=0.8, exclude="head.*")
    sparse = {layer.name: layer for layer in count_macs(model, batch)}
    kept = {entry.name: int(entry.mask.sum()) for entry in controller.masked}

    conv = model.stages[1].gcn.conv
    assert isinstance(conv, STGraphConv)
    edges, weights = kept["stages.1.gcn.adjacency.edge_weight"], kept["stages.1.gcn.conv.weight"]
    # Ten frames of 17 joints: every kept edge moves 8 channels, every kept weight is used once.
    found = sparse["stages.1.gcn.conv"]
    assert found.kind == "STGraphConv"
    assert found.effective_macs == 10 * 8 * edges + 10 * 17 * weights
    assert found.macs == dense["stages.1.gcn.conv"].macs == 10 * (3 * 17**2 * 8 + 17 * 3 * 8 * 8)
    tcn = sparse["stages.1.tcn.conv"]
    assert tcn.effective_macs == 10 * 17 * kept["stages.1.tcn.conv.weight"]
    assert tcn.params == 9 * 8 * 8 + 8
    assert sparse["head.linear"] == dense["head.linear"]
    controller.finalize()
    folded = {layer.name: layer.effective_macs for layer in count_macs(model, batch)}
    assert folded == {layer.name: layer.effective_macs for layer in sparse.values()}


class Scaled(nn.Linear):
    """A layer of a known kind: its multiplications by weights are those of its base."""


class Mixed(nn.Module):
    """A layer of an unknown kind, with weights of its own and a child that never runs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.eye(channels))
        self.shift = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x @ self.mix, self.shift.weight)


def test_unknown_layers_with_parameters_are_named() -> None:
    model = create_model("stgcn", 5, "coco17", base_channels=8)
    batch = random_clips(model, 1, 1, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count_macs(model, batch)
    model.head = nn.Sequential(Scaled(32, 16), nn.ReLU(), Mixed(16), nn.Linear(16, 5))
    sparsify(model, 0.5, exclude="stages.*")
    with pytest.warns(UserWarning, match="not counted") as caught:
        layers = {layer.name: layer for layer in count_macs(model, batch)}
    assert str(caught[0].message).endswith("not counted: head.2 (Mixed)")
    assert "head.2" not in layers
    assert layers["head.0"].macs == 32 * 16
    assert layers["head.3"].macs == 16 * 5


def test_parameters_outside_of_layers_are_named() -> None:
    class Shifted(STGCN):
        def __init__(self) -> None:
            super().__init__(5, "coco17", base_channels=8)
            self.shift = nn.Parameter(torch.zeros(5))

        def forward(self, *args: Any) -> Tensor:
            return super().forward(*args) + self.shift

    model = Shifted()
    with pytest.warns(UserWarning, match=r"not counted: the model \(Shifted\)"):
        count_macs(model, random_clips(model, 1, 1, 12))


def test_the_unused_classifiers_of_an_assembly_are_not_named() -> None:
    model = Assembly([create_model("stgcn", 5, "coco17", base_channels=8) for _ in range(2)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers = count_macs(model, random_clips(model, 1, 1, 12))
    assert sum(layer.kind == "STGraphConv" for layer in layers) == 20


def test_counting_leaves_the_model_as_it_was() -> None:
    model = create_model("aagcn", 5, "coco17", base_channels=8).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count_macs(model, random_clips(model, 2, 2, 12))
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_time_and_memory() -> None:
    model = create_model("stgcn", 5, "coco17", base_channels=8)
    small, large = (random_clips(model, clips, 1, 32) for clips in (1, 8))
    milliseconds, peak = measure_forward(model, small, min_seconds=0.05)
    assert milliseconds > 0
    # Input and output of the widest stages of one person, and eight times as much for eight.
    assert peak > 2 * 32 * 17 * 8 * 4
    assert measure_forward(model, large, min_seconds=0.05)[1] == pytest.approx(8 * peak, rel=0.3)
    with pytest.raises(InputError, match="min_seconds 0"):
        measure_forward(model, small, min_seconds=0)
