"""Weights that are kept or pruned together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import (
    METHODS,
    STRUCTURES,
    make_schedule,
    masked_parameters,
    report,
    sparsify,
)
from pyg_stgcn.sparsity.structures import expand_units, pool_units, unit_shape

SHAPES = st.lists(st.integers(1, 20), min_size=1, max_size=4).map(tuple)


def convolutions() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 20, 1), nn.Conv2d(20, 24, (9, 1)), nn.Conv2d(24, 16, 1))


def blocks(mask: Tensor) -> list[np.ndarray]:
    rows = mask.numpy()
    return [rows[start : start + 8] for start in range(0, len(rows), 8)]


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, structure=st.sampled_from(STRUCTURES), seed=st.integers(0, 99))
def test_units_are_means_over_their_weights(
    shape: tuple[int, ...], structure: str, seed: int
) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    units = pool_units(structure, values)
    assert tuple(units.shape) == unit_shape(structure, shape)
    if len(shape) == 1 or structure in ("unstructured", "2:4"):
        expected = values.numpy()
    elif structure == "channel":
        expected = np.array([row.mean() for row in values.numpy()])
    else:
        expected = np.array([block.mean(axis=0) for block in blocks(values)])
    np.testing.assert_allclose(units.numpy(), expected, rtol=1e-12, atol=1e-12)
    expanded = expand_units(structure, units, shape)
    assert tuple(expanded.shape) == shape
    assert pool_units(structure, expanded).allclose(units)


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
@pytest.mark.parametrize("sparsity", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("method", METHODS)
def test_blocks_and_channels_go_as_a_whole(method: str, sparsity: float, allocation: str) -> None:
    for structure in ("block8", "channel"):
        torch.manual_seed(0)
        model = convolutions()
        controller = sparsify(
            model,
            sparsity,
            method=method,
            structure=structure,
            allocation=allocation,
            min_density=0.0,
        )
        largest = 0.0
        for entry in masked_parameters(model):
            mask = entry.mask
            for part in blocks(mask) if structure == "block8" else mask.numpy()[:, None]:
                whole = part.all(axis=0) | ~part.any(axis=0)
                assert whole.all() if structure == "block8" else part.all() or not part.any()
            size = mask.numel() / np.prod(unit_shape(structure, mask.shape))
            largest = max(largest, size, 8)
            assert allocation == "global" or mask.any()
        total = sum(entry.mask.numel() for entry in masked_parameters(model))
        # Each layer is rounded to the nearest unit, and keeps the last one.
        slack = (len(masked_parameters(model)) if allocation != "global" else 1) * largest
        assert abs(controller.sparsity * total - sparsity * total) <= slack + 1


@pytest.mark.parametrize("sparsity", [0.9, 0.97, 0.99])
@pytest.mark.parametrize("structure", ["block8", "channel"])
def test_one_threshold_with_min_density_leaves_each_layer_its_best_unit(
    structure: str, sparsity: float
) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        model = convolutions()
        # One threshold alone would empty the other two.
        model[2].weight.data *= 100
        sparsify(model, sparsity, method="magnitude", structure=structure, allocation="global")
        for entry in masked_parameters(model):
            best = entry.ranking.argmax()
            assert pool_units(structure, entry.mask.float()).flatten()[best] == 1


def test_the_channels_of_largest_mean_magnitude_stay() -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(6, 12, (3, 1))
    means = layer.weight.detach().abs().mean(dim=(1, 2, 3))
    sparsify(layer, 0.5, method="magnitude", structure="channel")
    kept = masked_parameters(layer)[0].mask.flatten(1).all(1)
    assert set(kept.nonzero().view(-1).tolist()) == set(means.topk(6).indices.tolist())


@pytest.mark.parametrize("method", ["magnitude", "score", "random"])
def test_two_of_four_inputs_stay(method: str) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv1d(8, 5, 3), nn.Linear(16, 6))
    controller = sparsify(model, 0.5, method=method, structure="2:4")
    assert controller.sparsity == 0.5
    assert report(model)[0].sparsity == 0.5
    for entry in masked_parameters(model):
        groups = entry.mask.movedim(1, -1).unflatten(-1, (-1, 4))
        assert (groups.sum(-1) == 2).all()
        importance = entry.ranking.movedim(1, -1).unflatten(-1, (-1, 4))
        lowest_kept = importance.masked_fill(~groups, torch.inf).amin(-1)
        assert (lowest_kept >= importance.masked_fill(groups, -torch.inf).amax(-1)).all()


def test_two_of_four_with_a_remainder_and_before_the_end_of_a_ramp() -> None:
    torch.manual_seed(3)
    layer = nn.Linear(7, 3)
    sparsify(layer, 0.5, method="magnitude", structure="2:4")
    kept = masked_parameters(layer)[0].mask
    assert (kept[:, :4].sum(1) == 2).all()
    assert (kept[:, 4:].sum(1) == 2).all(), "of three the best two"
    partly = nn.Linear(8, 10)
    controller = sparsify(partly, 0.25, method="magnitude", structure="2:4")
    assert controller.sparsity == 0.25
    assert (masked_parameters(partly)[0].mask.unflatten(1, (2, 4)).sum(-1) >= 2).all()


def test_vectors_beside_two_of_four_are_pruned_like_anything() -> None:
    model = nn.Sequential(nn.Linear(16, 40), nn.BatchNorm1d(40))
    sparsify(model, 0.3, method="magnitude", structure="2:4", include=lambda name, _: True)
    assert {layer.name: layer.kept for layer in report(model)} == {
        "0.weight": 640 - 192,
        "0.bias": 28,
        "1.weight": 28,
        "1.bias": 28,
    }


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
@pytest.mark.parametrize("structure", STRUCTURES[:3])
def test_what_is_pruned_by_lot_stays_pruned_along_a_ramp(structure: str, allocation: str) -> None:
    torch.manual_seed(4)
    model = convolutions()
    schedule = make_schedule("linear", 0.95, 40, ramp_end=40)
    controller = sparsify(
        model, 0.95, method="random", structure=structure, allocation=allocation, schedule=schedule
    )
    for _ in range(40):
        before = [entry.mask.clone() for entry in masked_parameters(model)]
        controller.step()
        for entry, mask in zip(masked_parameters(model), before, strict=True):
            assert not (entry.mask & ~mask).any()
    assert all(entry.mask.any() for entry in masked_parameters(model)), (
        "the min_density of one unit"
    )


def test_edges_have_no_pattern() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.edge_weight = nn.Parameter(torch.rand(40))
            self.linear = nn.Linear(16, 16)

    model = Graph()
    controller = sparsify(model, 0.5, edge_sparsity=0.3, structure="block8")
    assert controller.edge_sparsity == round(0.3 * 39) / 40
    assert {layer.name: layer.kept for layer in report(model)}["edge_weight"] == 28


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"structure": "block16"}, "block8"),
        ({"structure": "2:4", "sparsity": 0.9}, "keeps half of the weights"),
    ],
)
def test_what_cannot_be_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sparsify(nn.Linear(8, 8), **{"sparsity": 0.4, **options})
