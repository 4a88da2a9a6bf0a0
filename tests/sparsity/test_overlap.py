from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import kept_weights, overlap, sparsify, summary, total_overlap


def random_mask(shape: tuple[int, ...], kept: int) -> Tensor:
    mask = torch.zeros(shape).flatten()
    mask[torch.randperm(mask.numel())[:kept]] = 1
    return mask.view(shape).bool()


def places(masks: dict[str, Tensor]) -> set[tuple[str, int]]:
    """All kept weights, one by one."""
    return {
        (name, place)
        for name, mask in masks.items()
        for place in range(mask.numel())
        if mask.flatten()[place]
    }


def test_the_index_is_that_of_sets() -> None:
    shapes: dict[str, tuple[int, ...]] = {"a.weight": (5, 7), "b.weight": (3, 2, 4, 1)}
    first = {name: random_mask(shape, 10) for name, shape in shapes.items()}
    second = {name: random_mask(shape, 16) for name, shape in shapes.items()}
    layers = overlap(first, second)
    assert [layer.name for layer in layers] == list(shapes)
    for layer in layers:
        one, other = (places({layer.name: masks[layer.name]}) for masks in (first, second))
        assert (layer.first, layer.second, layer.shared) == (10, 16, len(one & other))
        assert layer.jaccard == len(one & other) / len(one | other)
    one, other = places(first), places(second)
    total = total_overlap(layers)
    assert (total.numel, total.first, total.second) == (59, 20, 32)
    assert total.jaccard == len(one & other) / len(one | other)


def test_chance_is_what_random_masks_have_in_common() -> None:
    # Densities that differ between layers alike in both networks: more than pq/(p+q-pq) of all.
    kept = {"narrow": ((40, 10), 320, 280), "wide": ((80, 40), 160, 320)}
    draws: dict[str, list[float]] = {"narrow": [], "wide": [], "both": []}
    for _ in range(300):
        masks = [
            {name: random_mask(shape, counts[side]) for name, (shape, *counts) in kept.items()}
            for side in (0, 1)
        ]
        layers = overlap(*masks)
        for name, part in (
            *((layer.name, layer) for layer in layers),
            ("both", total_overlap(layers)),
        ):
            assert part.jaccard is not None
            draws[name].append(part.jaccard)
    expected = {layer.name: layer.chance for layer in layers}
    p, q = 0.8, 0.7
    assert expected["narrow"] == pytest.approx(p * q / (p + q - p * q))
    p, q = 0.05, 0.1
    assert expected["wide"] == pytest.approx(p * q / (p + q - p * q))
    expected["both"] = total_overlap(layers).chance
    for name, values in draws.items():
        found = torch.tensor(values, dtype=torch.double)
        error = float(found.std()) / len(values) ** 0.5
        assert expected[name] == pytest.approx(float(found.mean()), abs=4 * error)
    p, q = (sum(counts[side] for _, *counts in kept.values()) / 3600 for side in (0, 1))
    assert expected["both"] is not None and expected["both"] > 1.5 * p * q / (p + q - p * q)


def test_equal_masks_are_one() -> None:
    masks = {"weight": random_mask((10, 10), 20)}
    (layer,) = overlap(masks, masks)
    assert (layer.jaccard, layer.chance) == (1, pytest.approx(0.04 / 0.36))
    assert layer.ratio == pytest.approx(9)


def test_nothing_kept_has_no_index() -> None:
    none, some = torch.zeros(4, 4, dtype=torch.bool), random_mask((4, 4), 3)
    (layer,) = overlap({"weight": none}, {"weight": none})
    assert (layer.jaccard, layer.chance, layer.ratio) == (None, None, None)
    (layer,) = overlap({"weight": none}, {"weight": some})
    assert (layer.jaccard, layer.chance, layer.ratio) == (0, 0, None)


def test_masks_and_the_zeros_they_leave_are_the_same() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4))
    controller = sparsify(model, 0.7)
    masked = {name: mask.clone() for name, mask in kept_weights(model).items()}
    assert sum(int(mask.sum()) for mask in masked.values()) == summary(model).maskable_kept
    controller.finalize()
    assert total_overlap(overlap(masked, kept_weights(model))).jaccard == 1


def test_other_architectures_are_refused() -> None:
    one = {"a.weight": torch.ones(2, 3).bool(), "b.weight": torch.ones(2, 2).bool()}
    with pytest.raises(InputError, match=r"a\.weight: 2x3 and 3x2 are not the same layer"):
        overlap(one, one | {"a.weight": torch.ones(3, 2).bool()})
    for masks in ((one, {"a.weight": one["a.weight"]}), ({"a.weight": one["a.weight"]}, one)):
        with pytest.raises(InputError, match=r"b\.weight: .*is missing.*one architecture"):
            overlap(*masks)
