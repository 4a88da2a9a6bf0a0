from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pyg_stgcn.sparsity import masked_parameters, report, sparsify
from pyg_stgcn.sparsity.allocation import MIN_DENSITY, erk_densities, num_pruned_per_layer

SHAPES = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9), st.just(1)),
        st.tuples(st.integers(1, 60)),
    ),
    min_size=1,
    max_size=6,
)


@given(shapes=SHAPES, density=st.floats(1e-3, 1), min_density=st.floats(0, 1))
def test_erk_densities_follow_their_definition(
    shapes: list[tuple[int, ...]], density: float, min_density: float
) -> None:
    found = erk_densities(shapes, density, min_density)
    sizes = [math.prod(shape) for shape in shapes]
    assert sum(e * n for e, n in zip(found, sizes, strict=True)) == pytest.approx(
        density * sum(sizes)
    )
    # One factor for all between the bounds; one too large for those kept whole, too small for those
    # at the min_density.
    least = min_density * density
    raw = [sum(s) / n if len(s) > 1 else 1.0 for s, n in zip(shapes, sizes, strict=True)]
    assert all(least <= e <= 1 for e in found)
    factors = [e / r for e, r in zip(found, raw, strict=True) if least < e < 1]
    if factors:
        assert max(factors) == pytest.approx(min(factors))
        assert all(factors[0] * r >= 1 - 1e-9 for e, r in zip(found, raw, strict=True) if e == 1)
        at_least = [r for e, r in zip(found, raw, strict=True) if e == least]
        assert all(factors[0] * r <= least + 1e-9 for r in at_least)


def test_erk_of_a_small_st_gcn_by_hand() -> None:
    # (16 + 48 + 0) / 768 against (64 + 64 + 9 + 1) / 36864.
    small, large = erk_densities([(16, 48), (64, 64, 9, 1)], 0.05)
    assert small / large == pytest.approx((64 / 768) / (138 / 36_864))
    assert 768 * small + 36_864 * large == pytest.approx(0.05 * 37_632)


@given(
    shapes=SHAPES,
    sparsity=st.floats(0, 1, exclude_max=True),
    allocation=st.sampled_from(["uniform", "erk"]),
    min_density=st.floats(0, 1),
)
def test_numbers_add_up_exactly(
    shapes: list[tuple[int, ...]], sparsity: float, allocation: str, min_density: float
) -> None:
    sizes = [math.prod(shape) for shape in shapes]
    pruned = round(sparsity * (sum(sizes) - 1))
    counts = num_pruned_per_layer(allocation, shapes, pruned, min_density)
    assert sum(counts) == pruned
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))
    density = 1 - pruned / sum(sizes)
    expected = (
        [density] * len(sizes)
        if allocation == "uniform"
        else erk_densities(shapes, density, min_density)
    )
    for count, size, wanted in zip(counts, sizes, expected, strict=True):
        assert abs(size - count - wanted * size) < 1 + 1e-6


def test_every_layer_keeps_its_best(stgcn_shapes: nn.Module) -> None:
    controller = sparsify(stgcn_shapes, 0.95, allocation="erk")
    expected = num_pruned_per_layer(
        "erk",
        [entry.mask.shape for entry in controller.masked],
        round(0.95 * 3_052_095),
        MIN_DENSITY,
    )
    for entry, pruned in zip(masked_parameters(stgcn_shapes), expected, strict=True):
        kept = entry.weight.detach().abs()[entry.mask]
        pruned_weights = entry.weight.detach().abs()[~entry.mask]
        assert pruned_weights.numel() == pruned
        if pruned:
            assert pruned_weights.max() <= kept.min()
    density = {layer.name: 1 - layer.sparsity for layer in report(stgcn_shapes)}
    assert density["gcn.0.weight"] > density["gcn.1.weight"] > density["tcn.9.weight"] > 0


def test_a_layer_may_lose_everything_but_no_more() -> None:
    model = nn.ModuleList(nn.Linear(1, 1) for _ in range(5))
    controller = sparsify(model, 0.9, allocation="uniform")
    assert controller.sparsity == round(0.9 * 4) / 5
    assert torch.tensor([int(e.mask) for e in controller.masked]).sum() == 1
