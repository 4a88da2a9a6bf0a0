from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.sparsity import (
    Ticket,
    full_masks,
    kept_after,
    load_ticket,
    masked_parameters,
    prune_further,
    put_masks,
    random_masks,
    rate_for,
    report,
    save_sparse,
    save_ticket,
    sparsify,
)
from pyg_stgcn.sparsity.threshold import num_pruned

SHAPES = {"a.weight": (6, 5), "b.weight": (3, 4, 2), "c.weight": (2, 2)}


def some_weights(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # In tenths, so that magnitudes tie within and between layers.
    return {
        name: torch.randint(-9, 10, shape, generator=generator) / 10
        for name, shape in SHAPES.items()
    }


def all_kept() -> dict[str, Tensor]:
    return {name: torch.ones(shape, dtype=torch.bool) for name, shape in SHAPES.items()}


def flat(values: dict[str, Tensor]) -> list[float]:
    return torch.cat([value.flatten() for value in values.values()]).tolist()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rates=st.lists(st.floats(0.05, 0.7), min_size=1, max_size=4))
def test_each_round_takes_the_smallest_that_are_left(seed: int, rates: list[float]) -> None:
    masks, kept = all_kept(), 1.0
    for number, rate in enumerate(rates):
        weights, kept = some_weights(seed + number), kept * (1 - rate)
        found = prune_further(weights, masks, 1 - kept)
        magnitudes, alive = [abs(value) for value in flat(weights)], flat(masks)
        already = [i for i, is_kept in enumerate(alive) if not is_kept]
        remaining = sorted(
            (i for i, is_kept in enumerate(alive) if is_kept), key=lambda i: (magnitudes[i], i)
        )
        pruned = {*already, *remaining[: num_pruned(1 - kept, len(alive)) - len(already)]}
        assert flat(found) == [i not in pruned for i in range(len(alive))]
        masks = found


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    rate=st.floats(0.05, 0.6),
    allocation=st.sampled_from(["global", "uniform", "erk"]),
    min_density=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_counts_are_exact_and_nothing_returns(
    seed: int, rate: float, allocation: str, min_density: float
) -> None:
    masks = all_kept()
    numel = len(flat(masks))
    for number in range(1, 7):
        sparsity = 1 - kept_after(number, rate)
        before = masks
        masks = prune_further(
            some_weights(seed + number),
            before,
            sparsity,
            allocation=allocation,
            min_density=min_density,
        )
        assert flat(masks).count(False) == num_pruned(sparsity, numel)
        assert all(not (masks[name] & ~before[name]).any() for name in masks)
        if allocation == "global":
            density = min_density * (1 - num_pruned(sparsity, numel) / numel)
            assert all(int(mask.sum()) >= int(density * mask.numel()) for mask in masks.values())


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
def test_min_density_revives_nothing(allocation: str) -> None:
    masks = all_kept()
    masks["b.weight"][:] = False
    masks["a.weight"][1:] = False
    found = prune_further(some_weights(0), masks, 0.87, allocation=allocation, min_density=1.0)
    assert all(not (found[name] & ~masks[name]).any() for name in masks)
    assert flat(found).count(False) == num_pruned(0.87, len(flat(masks)))


def test_uniform_prunes_the_same_fraction_of_every_layer() -> None:
    masks = prune_further(some_weights(0), all_kept(), 0.5, allocation="uniform")
    for mask in masks.values():
        assert abs(int(mask.sum()) - mask.numel() / 2) <= 1


def test_layers_compare_by_their_fan_in_if_asked_to() -> None:
    weights = {"wide": torch.full((2, 96), 0.1), "narrow": torch.full((2, 6), 0.3)}
    masks = {name: torch.ones_like(value, dtype=torch.bool) for name, value in weights.items()}
    # 0.1 * sqrt(96 / 6) = 0.4 is above 0.3 * sqrt(6 / 6).
    plain = prune_further(weights, masks, 0.02)
    scaled = prune_further(weights, masks, 0.02, score_scale="fan_in")
    assert (plain["wide"].all(), plain["narrow"].all()) == (False, True)
    assert (scaled["wide"].all(), scaled["narrow"].all()) == (True, False)


def test_less_than_is_pruned_already_is_refused() -> None:
    masks = prune_further(some_weights(0), all_kept(), 0.5)
    with pytest.raises(InputError, match="asks for 11 pruned weights, but 28 are pruned already"):
        prune_further(some_weights(0), masks, 0.2)
    with pytest.raises(InputError, match="allocation 'random' is unknown"):
        prune_further(some_weights(0), masks, 0.6, allocation="random")


@pytest.mark.parametrize(("rounds", "sparsity"), [(1, 0.9), (8, 0.95), (20, 0.99)])
def test_a_rate_that_ends_where_it_should(rounds: int, sparsity: float) -> None:
    assert 1 - kept_after(rounds, rate_for(rounds, sparsity)) == pytest.approx(sparsity, abs=1e-12)


def test_random_masks_keep_the_numbers_of_every_layer() -> None:
    masks = prune_further(some_weights(0), all_kept(), 0.6)
    drawn = [random_masks(masks, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    for name, mask in masks.items():
        assert all(int(one[name].sum()) == int(mask.sum()) for one in drawn)
        assert all(one[name].shape == mask.shape for one in drawn)
        assert drawn[0][name].equal(drawn[1][name])
    assert any(not drawn[0][name].equal(drawn[2][name]) for name in masks)
    # Every place is drawn equally often: 4 of 10, 200 times, lies within five deviations.
    one_layer = {"w": torch.arange(10) < 4}
    generator = torch.Generator().manual_seed(0)
    hits = sum(random_masks(one_layer, generator)["w"].long() for _ in range(200))
    assert isinstance(hits, Tensor)
    assert ((hits - 80).abs() < 5 * (200 * 0.4 * 0.6) ** 0.5).all()


@pytest.mark.parametrize("structure", ["channel", "block8", "2:4"])
@pytest.mark.parametrize("sparsity", [0.3, 0.5])
def test_random_masks_of_a_structure_are_drawn_as_it_prunes(
    structure: str, sparsity: float
) -> None:
    # 20 outputs are two blocks of eight and one of four, 6 inputs a group of four and one of two.
    module = nn.Sequential(nn.Conv2d(6, 20, (3, 1)), nn.Linear(8, 16))
    controller = sparsify(module, sparsity, structure=structure, allocation="uniform")
    masks = {entry.name: entry.mask.clone() for entry in controller.masked}
    generator = torch.Generator().manual_seed(0)
    draws = [random_masks(masks, generator, structure) for _ in range(40)]
    for name, mask in masks.items():
        drawn = torch.stack([draw[name] for draw in draws])
        assert (drawn.flatten(1).sum(1) == mask.sum()).all()
        assert len({tuple(one.flatten().tolist()) for one in drawn}) > 1
        if structure == "channel":
            rows = drawn.flatten(2)
            assert rows.all(-1).equal(rows.any(-1))
        elif structure == "block8":
            for block in drawn.split(8, dim=1):
                assert block.all(1).equal(block.any(1))
        else:
            for group in drawn.split(4, dim=2):
                assert (group.sum(2) >= group.size(2) // 2).all()
                assert sparsity < 0.5 or (group.sum(2) == group.size(2) // 2).all()
    with pytest.raises(InputError, match="structure '3:4' is unknown"):
        random_masks(masks, generator, "3:4")


@pytest.mark.parametrize("name", list_models())
def test_masks_on_every_backbone(name: str) -> None:
    model = create_model(name, 3, "coco17", base_channels=4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    masks = prune_further(model.state_dict(), full_masks(model, exclude="head.*"), 0.7)
    controller = put_masks(model, masks)
    found = {entry.name: entry.mask for entry in masked_parameters(model)}
    assert found.keys() == masks.keys()
    assert all(found[key].equal(masks[key]) for key in masks)
    assert controller.sparsity == pytest.approx(Ticket(masks, before).sparsity)
    controller.finalize()
    for key, value in model.state_dict().items():
        expected = torch.where(masks[key], before[key], 0) if key in masks else before[key]
        assert value.equal(expected), key


def test_nothing_grows_back_in_training() -> None:
    module = network()
    masks = prune_further(module.state_dict(), full_masks(module), 0.8)
    controller = put_masks(module, masks)
    optimizer = torch.optim.SGD(
        module.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1
    )
    # Momentum from before the mask, as of an optimiser that was not started again.
    for parameter in module.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.randn_like(parameter)
    start = module[0].weight.detach().clone()
    for _ in range(10):
        optimizer.zero_grad()
        module(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        controller.step(optimizer)
        for name, layer in (("0.weight", module[0]), ("3.weight", module[3])):
            assert not layer.weight[~masks[name]].any()
    assert not module[0].weight.equal(start)
    assert [layer.kept for layer in report(module)] == [int(m.sum()) for m in masks.values()]


def test_masks_of_other_networks_are_refused() -> None:
    module = network()
    with pytest.raises(InputError, match=r"'5\.weight': there is no weight of this name"):
        put_masks(module, {"5.weight": torch.ones(3, 3, dtype=torch.bool)})
    with pytest.raises(InputError, match=r"of shape \(16, 5\), .* needs torch.bool of shape"):
        put_masks(module, {"0.weight": torch.ones(16, 5, dtype=torch.bool)})
    with pytest.raises(InputError, match=r"'0\.weight': is torch.float32"):
        put_masks(module, {"0.weight": torch.ones(16, 4)})
    assert not masked_parameters(module)
    sparsify(module, 0.5)
    with pytest.raises(InputError, match="has masks already"):
        put_masks(module, {"0.weight": torch.ones(16, 4, dtype=torch.bool)})


@pytest.fixture
def ticket() -> Ticket:
    module = network()
    module[3].weight.data.zero_()  # kept weights may be zero
    masks = prune_further(network().state_dict(), full_masks(module), 0.8)
    return Ticket(masks, copy.deepcopy(module.state_dict()), {"epoch": 3, "seed": 0})


def test_a_file_gives_the_ticket_back(ticket: Ticket, tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    save_ticket(path, ticket)
    found = load_ticket(path)
    assert found.metadata == ticket.metadata
    assert found.masks.keys() == ticket.masks.keys()
    assert all(found.masks[name].equal(mask) for name, mask in ticket.masks.items())
    assert found.weights.keys() == ticket.weights.keys()
    for name, weight in ticket.weights.items():
        assert found.weights[name].dtype == weight.dtype
        kept = torch.where(ticket.masks[name], weight, 0) if name in ticket.masks else weight
        assert found.weights[name].equal(kept)
    assert found.sparsity == pytest.approx(0.8, abs=0.01)


def test_damaged_and_foreign_files(ticket: Ticket, tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    with pytest.raises(InputError, match=r"ticket\.safetensors: cannot be read"):
        load_ticket(path)
    save_ticket(path, ticket)
    content = path.read_bytes()
    for place in (20, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(InputError, match=r"ticket\.safetensors: "):
            load_ticket(path)
        path.write_bytes(content[:place])
        with pytest.raises(InputError, match=r"ticket\.safetensors: "):
            load_ticket(path)
    save_sparse(path, network().state_dict())
    with pytest.raises(InputError, match=r"is sparse weights, not a lottery ticket; .*load_sparse"):
        load_ticket(path)


def test_masks_without_weights_are_not_written(ticket: Ticket, tmp_path: Path) -> None:
    masks = {"9.weight": torch.ones(2, 2, dtype=torch.bool)}
    with pytest.raises(InputError, match=r"'9\.weight': there is no weight"):
        save_ticket(tmp_path / "ticket", Ticket(masks, ticket.weights))
    assert list(tmp_path.iterdir()) == []
