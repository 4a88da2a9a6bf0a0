from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import (
    ALLOCATIONS,
    METHODS,
    SparsityController,
    make_schedule,
    masked_parameters,
    report,
    score_parameters,
    sparsify,
    weight_parameters,
)
from pyg_stgcn.sparsity.threshold import num_pruned


def set_scores(module: nn.Module, *values: Tensor) -> None:
    for score, value in zip(score_parameters(module), values, strict=True):
        with torch.no_grad():
            score.copy_(value.view_as(score))


def masks(module: nn.Module) -> list[Tensor]:
    return [entry.mask.clone() for entry in masked_parameters(module)]


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))


def optimizer(module: nn.Module, lr: float = 0.1, score_lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        [
            {"params": weight_parameters(module), "weight_decay": 5e-4},
            {"params": score_parameters(module), "lr": score_lr, "weight_decay": 0.0},
        ],
        lr=lr,
        momentum=0.9,
    )


def train(
    model: nn.Module,
    controller: SparsityController,
    optim: torch.optim.Optimizer,
    steps: range,
) -> None:
    """Train on a batch that depends on nothing but the step."""
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 20, generator=generator)
        loss = (model(x) - x[:, :10].sin()).square().mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
        controller.step()


class TestSparsify:
    @settings(deadline=None, max_examples=40)
    @given(
        sizes=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=4),
        sparsity=st.floats(0, 1, exclude_max=True),
        allocation=st.sampled_from(ALLOCATIONS),
        min_density=st.floats(0, 1),
        tied=st.booleans(),
    )
    def test_achieved_is_asked_to_within_one_weight(
        self,
        sizes: list[tuple[int, int]],
        sparsity: float,
        allocation: str,
        min_density: float,
        tied: bool,
    ) -> None:
        model = nn.ModuleList(nn.Linear(*size) for size in sizes)
        controller = sparsify(
            model, sparsity, allocation=allocation, min_density=min_density, method="score"
        )
        if tied:
            set_scores(model, *(torch.zeros_like(score) for score in score_parameters(model)))
            controller.step()
        pruned = [int((~mask).sum()) for mask in masks(model)]
        total = sum(a * b for a, b in sizes)
        assert sum(pruned) == round(sparsity * (total - 1))
        if allocation == "uniform":
            for (a, b), achieved in zip(sizes, pruned, strict=True):
                assert abs(achieved - sum(pruned) / total * a * b) < 1
        density = 1 - sum(pruned) / total
        for (a, b), achieved in zip(sizes, pruned, strict=True):
            assert a * b - achieved > min_density * density * a * b - 1
        assert controller.sparsity == pytest.approx(sum(pruned) / total)
        assert controller.target == sparsity

    def test_one_threshold_over_all_layers(self) -> None:
        model = two_layers()
        controller = sparsify(
            model, 0.9, allocation="global", min_density=0, score_scale="none", method="score"
        )
        train(model, controller, optimizer(model), range(5))
        scores = np.concatenate([s.detach().numpy().ravel() for s in score_parameters(model)])
        lowest_kept = np.sort(scores)[num_pruned(0.9, len(scores))]
        for score, mask in zip(score_parameters(model), masks(model), strict=True):
            assert mask.equal(score >= lowest_kept)

    def test_scaled_scores_are_compared_by_fan_in(self) -> None:
        model = two_layers()
        controller = sparsify(model, 0.5, allocation="global", min_density=0, method="score")
        # 0.3 * sqrt(20 / 6) = 0.548 lies below 0.29 * sqrt(30 / 6) = 0.648.
        set_scores(model, torch.full((600,), 0.3), torch.full((300,), 0.29))
        controller.step()
        first, second = masks(model)
        assert int(second.sum()) == 300
        assert int(first.sum()) == 900 - round(0.5 * 899) - 300
        # Unscaled, the first layer would be the higher one.
        plain = two_layers()
        controller = sparsify(
            plain, 0.5, allocation="global", min_density=0, score_scale="none", method="score"
        )
        set_scores(plain, torch.full((600,), 0.3), torch.full((300,), 0.29))
        controller.step()
        assert int(masks(plain)[1].sum()) == 0

    def test_scale_starts_all_layers_equally_dense(self, stgcn_shapes: nn.Module) -> None:
        sparsify(stgcn_shapes, 0.95, allocation="global", method="score")
        for layer in report(stgcn_shapes):
            deviation = math.sqrt(0.05 * 0.95 / layer.numel)
            assert abs(layer.kept / layer.numel - 0.05) < 5 * deviation, layer.name

    def test_unscaled_scores_starve_wide_layers_as_released(self, stgcn_shapes: nn.Module) -> None:
        sparsify(
            stgcn_shapes,
            0.95,
            allocation="global",
            min_density=0,
            score_scale="none",
            method="score",
        )
        density = {layer.name: 1 - layer.sparsity for layer in report(stgcn_shapes)}
        for stage in range(1, 10):
            assert 0.16 < density[f"gcn.{stage}.weight"] < 0.46
            assert density[f"tcn.{stage}.weight"] < (0.008 if stage < 4 else 1e-6)

    @pytest.mark.parametrize("score_scale", ["fan_in", "none"])
    def test_min_density_keeps_the_best_weights_of_every_layer(
        self, stgcn_shapes: nn.Module, score_scale: str
    ) -> None:
        sparsify(
            stgcn_shapes,
            0.95,
            allocation="global",
            min_density=0.25,
            method="score",
            score_scale=score_scale,
        )
        too_few = [
            layer for layer in report(stgcn_shapes) if layer.kept < int(0.0125 * layer.numel)
        ]
        assert not too_few
        for entry in masked_parameters(stgcn_shapes):
            assert entry.ranking[entry.mask].min() >= entry.ranking[~entry.mask].max()

    def test_min_density_one_prunes_all_layers_alike(self, stgcn_shapes: nn.Module) -> None:
        sparsify(stgcn_shapes, 0.95, allocation="global", min_density=1, score_scale="none")
        for layer in report(stgcn_shapes):
            assert abs(layer.kept - 0.05 * layer.numel) < 25  # one weight rounded down in each

    def test_feedback_through_emptied_layers_needs_min_density(self) -> None:
        """Two all-zero layers in a row send each other no gradient."""
        for min_density, returns in ((0.0, False), (0.5, True)):
            model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 2, bias=False))
            bypass = nn.Linear(4, 2, bias=False)
            with torch.no_grad():
                for layer in model:
                    layer.weight.mul_(1e-3)
            whole = nn.ModuleList([model, bypass])
            sparsify(whole, 0.9, allocation="global", min_density=min_density)
            x = torch.randn(16, 4)
            (model(x) + bypass(x)).square().sum().backward()
            gradients = [
                entry.weight.grad for entry in masked_parameters(whole) if entry.name[0] == "0"
            ]
            assert any(bool(grad.any()) for grad in gradients) == returns

    def test_scale_changes_no_order_within_a_layer(self) -> None:
        found = []
        for scale in ("fan_in", "none"):
            torch.manual_seed(3)
            model = nn.Linear(20, 10)
            controller = sparsify(model, 0.8, score_scale=scale, method="score")
            start = masks(model)[0]
            train(model, controller, optimizer(model, score_lr=10.0), range(20))
            assert not masks(model)[0].equal(start)
            found.append(masks(model)[0])
        assert found[0].equal(found[1])

    def test_edges_are_a_pool_of_their_own(self) -> None:
        class Graph(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.edge_weight = nn.Parameter(torch.randn(101))
                self.lin = nn.Linear(9, 9)

        plain = Graph()
        assert sparsify(plain, 0.5).edge_sparsity == 0
        assert len(masks(plain)) == 1
        graph = Graph()
        controller = sparsify(graph, 0.5, edge_sparsity=0.8)
        assert controller.edge_sparsity == 80 / 101
        assert controller.sparsity == 40 / 81
        graph.edge_weight.sum().backward()
        assert int((graph.edge_weight == 0).sum()) == 80
        ramped = sparsify(Graph(), 0.9, edge_sparsity=0.6, schedule=make_schedule("linear", 0.9, 4))
        assert (ramped.sparsity, ramped.edge_sparsity) == (0, 0)
        ramped.step()
        assert ramped.sparsity == 36 / 81
        assert ramped.edge_sparsity == 30 / 101
        own = sparsify(Graph(), 0.8, edge_sparsity=0.4, schedule=lambda step: 0.4 if step else 0.0)
        own.step()
        assert own.edge_sparsity == 20 / 101
        only = sparsify(Graph(), 0.0, edge_sparsity=0.8)
        assert (only.sparsity, only.edge_sparsity) == (0, 80 / 101)

    @pytest.mark.parametrize("method", METHODS)
    def test_sparsity_zero_is_exact(self, method: str) -> None:
        model = two_layers()
        dense = copy.deepcopy(model)
        controller = sparsify(model, 0.0, method=method)
        train(model, controller, optimizer(model), range(10))
        optim = torch.optim.SGD(dense.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        for step in range(10):
            x = torch.randn(16, 20, generator=torch.Generator().manual_seed(step))
            optim.zero_grad()
            (dense(x) - x[:, :10].sin()).square().mean().backward()
            optim.step()
        assert controller.sparsity == 0
        x = torch.randn(5, 20)
        assert model(x).equal(dense(x))

    @pytest.mark.parametrize("method", METHODS)
    def test_half_precision_is_ranked_exactly(self, method: str) -> None:
        model = two_layers().to(torch.bfloat16)
        assert sparsify(model, 0.9, method=method).sparsity == round(0.9 * 899) / 900

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"sparsity": 1.0}, r"sparsity 1\.0 is not in \[0, 1\)"),
            ({"sparsity": 1.2}, r"sparsity 1\.2"),
            ({"sparsity": -0.1}, r"sparsity -0\.1"),
            ({"edge_sparsity": 1.5}, r"edge_sparsity 1\.5"),
            ({"allocation": "stage"}, "global, uniform, erk"),
            ({"min_density": 1.5}, r"min_density 1\.5 is not in \[0, 1\]"),
            ({"method": "ticket"}, "feedback, magnitude, score, rigl, set, random"),
            ({"update_every": 0}, "update_every 0 is not positive"),
            ({"drop_fraction": 0.0}, r"drop_fraction 0\.0 is not in \(0, 1\]"),
            ({"score_scale": "kaiming"}, "fan_in, none"),
            ({"schedule": make_schedule("step", 0.8, 10)}, r"leads to sparsity 0\.8, not to 0\.5"),
            ({"freeze_after": -1}, "freeze_after -1"),
            (
                {"schedule": make_schedule("linear", 0.5, 10, ramp_end=10), "freeze_after": 5},
                r"hold the masks at sparsity 0\.25",
            ),
            ({"include": "nothing"}, "nothing"),
        ],
    )
    def test_wrong_arguments_leave_the_module_alone(self, options: dict, message: str) -> None:
        model = two_layers()
        with pytest.raises(InputError, match=message):
            sparsify(model, **({"sparsity": 0.5} | options))
        assert list(model.state_dict()) == list(two_layers().state_dict())

    def test_twice_is_refused(self) -> None:
        model = two_layers()
        sparsify(model, 0.5, include="0.weight")
        with pytest.raises(InputError, match="has masks already"):
            sparsify(model, 0.5, include="2.weight")
        with pytest.raises(InputError, match="sparsify the module inside"):
            sparsify(nn.DataParallel(two_layers()), 0.5)
        with pytest.raises(InputError, match="has no masks"):
            SparsityController(two_layers())


class TestSteps:
    @pytest.mark.parametrize("method", METHODS)
    def test_masks_follow_the_schedule(self, method: str) -> None:
        model = two_layers()
        schedule = make_schedule("cubic", 0.9, 20, warmup=4, ramp_end=14)
        controller = sparsify(model, 0.9, schedule=schedule, method=method)
        optim = optimizer(model)
        for step in range(20):
            assert controller.sparsity == pytest.approx(round(schedule(step) * 899) / 900)
            train(model, controller, optim, range(step, step + 1))
        assert controller.sparsity == pytest.approx(round(0.9 * 899) / 900)

    def test_a_pruned_weight_returns_when_its_score_says_so(self) -> None:
        layer = nn.Linear(3, 1, bias=False)
        controller = sparsify(layer, 0.5, method="score")  # prunes one of three
        set_scores(layer, torch.tensor([0.5, 0.4, 0.3]))
        controller.step()
        weight = layer.parametrizations.weight.original
        with torch.no_grad():
            weight.copy_(torch.tensor([[1.0, 1.0, -2.0]]))
        assert masks(layer)[0].tolist() == [[True, True, False]]
        optim = optimizer(layer, lr=0.0, score_lr=0.1)
        # L = sum(x w), so G = x = (1, 3, 2) and ds = -0.1 G w = (-0.1, -0.3, +0.4).
        layer(torch.tensor([1.0, 3.0, 2.0])).sum().backward()
        optim.step()
        controller.step()
        expected = torch.tensor([[0.4, 0.1, 0.7]])
        torch.testing.assert_close(score_parameters(layer)[0].detach(), expected)
        assert masks(layer)[0].tolist() == [[True, False, True]]
        assert layer.weight.tolist() == [[1.0, 0.0, -2.0]]

    def test_many_pruned_weights_return_in_training(self) -> None:
        model = two_layers()
        controller = sparsify(model, 0.8, method="score")
        before = masks(model)
        train(model, controller, optimizer(model, score_lr=3.0), range(60))
        returned = sum(
            int((now & ~then).sum()) for now, then in zip(masks(model), before, strict=True)
        )
        assert returned > 20
        assert controller.sparsity == pytest.approx(round(0.8 * 899) / 900)

    def test_magnitude_keeps_the_largest_weights_of_all_layers(self) -> None:
        model = two_layers()
        schedule = make_schedule("linear", 0.9, 20, ramp_end=10)
        controller = sparsify(
            model, 0.9, allocation="global", min_density=0, schedule=schedule, method="magnitude"
        )
        train(model, controller, optimizer(model), range(20))
        weights = [entry.weight.detach().abs() for entry in masked_parameters(model)]
        # Layers start as U(-b, b) with b proportional to 1 / sqrt(fan-in): compare |w| / b.
        ranked = [weights[0] * math.sqrt(20), weights[1] * math.sqrt(30)]
        lowest_kept = torch.cat([part.flatten() for part in ranked]).sort().values[round(0.9 * 899)]
        for part, mask in zip(ranked, masks(model), strict=True):
            assert mask.equal(part >= lowest_kept)

    def test_magnitude_of_a_pruned_weight_only_decays(self) -> None:
        layer = nn.Linear(4, 1, bias=False)
        layer.weight = nn.Parameter(torch.tensor([[0.1, -0.4, 0.3, -0.2]]))
        controller = sparsify(layer, 0.6, method="magnitude")  # prunes two of four
        assert score_parameters(layer) == []
        assert masks(layer)[0].tolist() == [[False, True, True, False]]
        weight = layer.parametrizations.weight.original
        optim = torch.optim.SGD([weight], lr=0.1, weight_decay=0.5)
        layer(torch.tensor([9.0, 0.0, 2.0, 9.0])).sum().backward()
        assert weight.grad.tolist() == [[0.0, 0.0, 2.0, 0.0]]
        optim.step()
        controller.step()
        # (1 - 0.05) w, and -0.1 * 2 for the third, which falls to 0.085, below the first's 0.095
        expected = torch.tensor([[0.095, -0.38, 0.085, -0.19]])
        torch.testing.assert_close(weight.detach(), expected)
        assert masks(layer)[0].tolist() == [[False, True, False, True]]

    def test_feedback_trains_pruned_weights_along(self) -> None:
        layer = nn.Linear(4, 1, bias=False)
        layer.weight = nn.Parameter(torch.tensor([[0.1, -0.4, 0.3, -0.2]]))
        controller = sparsify(layer, 0.6, method="feedback")  # prunes two of four
        assert score_parameters(layer) == []
        assert masks(layer)[0].tolist() == [[False, True, True, False]]
        weight = layer.parametrizations.weight.original
        optim = torch.optim.SGD([weight], lr=0.1, weight_decay=0.5)
        output = layer(torch.tensor([9.0, 0.0, 2.0, -1.0]))
        assert output.item() == pytest.approx(0.3 * 2)
        output.sum().backward()
        assert weight.grad.tolist() == [[9.0, 0.0, 2.0, -1.0]]
        optim.step()
        controller.step()
        # (1 - 0.05) w - 0.1 * gradient: the first has outgrown the third
        expected = torch.tensor([[-0.805, -0.38, 0.085, -0.09]])
        torch.testing.assert_close(weight.detach(), expected)
        assert masks(layer)[0].tolist() == [[True, True, False, False]]

    def test_feedback_finds_the_weights_that_matter(self) -> None:
        # Regression on orthonormal inputs: the best two of six weights are the largest targets,
        # which start the smallest.
        def recovered(method: str) -> list[bool]:
            layer = nn.Linear(6, 1, bias=False)
            layer.weight = nn.Parameter(torch.tensor([[0.6, 0.5, 0.4, 0.3, 0.02, 0.01]]))
            controller = sparsify(layer, 0.8, method=method)
            optim = torch.optim.SGD(layer.parameters(), lr=0.1)
            target = torch.tensor([0.1, 0.1, 0.1, 0.1, 2.0, 3.0])
            for _ in range(100):
                optim.zero_grad()
                (layer(torch.eye(6)).squeeze() - target).square().sum().backward()
                optim.step()
                controller.step()
            return masks(layer)[0][0].tolist()

        assert recovered("feedback") == [False] * 4 + [True] * 2
        assert recovered("magnitude")[4:] == [False, False]

    def test_frozen_masks_stay(self) -> None:
        model = two_layers()
        schedule = make_schedule("linear", 0.9, 30, ramp_end=10)
        controller = sparsify(model, 0.9, schedule=schedule, freeze_after=12, method="score")
        optim = optimizer(model, score_lr=10.0)
        train(model, controller, optim, range(11))
        assert not controller.frozen
        before_last = masks(model)
        train(model, controller, optim, range(11, 12))
        assert controller.frozen
        frozen = masks(model)
        assert not all(a.equal(b) for a, b in zip(before_last, frozen, strict=True))
        train(model, controller, optim, range(12, 30))
        assert all(a.equal(b) for a, b in zip(masks(model), frozen, strict=True))
        assert controller.num_steps == 30

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_a_look_at_the_final_sparsity(self, mode) -> None:
        model = two_layers()
        controller = sparsify(model, 0.9, schedule=make_schedule("linear", 0.9, 10, ramp_end=10))
        optim = optimizer(model)
        train(model, controller, optim, range(3))
        before = masks(model)
        with mode(), controller.at_target():
            assert controller.sparsity == pytest.approx(round(0.9 * 899) / 900)
            model(torch.randn(2, 20))
        assert all(a.equal(b) for a, b in zip(masks(model), before, strict=True))
        with pytest.raises(KeyError), controller.at_target():
            raise KeyError
        assert all(a.equal(b) for a, b in zip(masks(model), before, strict=True))
        train(model, controller, optim, range(3, 10))
        with controller.at_target():
            assert controller.sparsity == pytest.approx(round(0.9 * 899) / 900)

    @pytest.mark.parametrize("method", METHODS)
    def test_resumed_in_mid_ramp_masks_and_weights_are_the_same(
        self, tmp_path: Path, method: str
    ) -> None:
        def start(seed: int) -> tuple[nn.Module, SparsityController, torch.optim.Optimizer]:
            torch.manual_seed(seed)
            model = two_layers()
            schedule = make_schedule("cubic", 0.9, 20, ramp_end=16)
            controller = sparsify(model, 0.9, schedule=schedule, method=method)
            return model, controller, optimizer(model)

        straight = start(1)
        train(*straight, range(7))
        parts = {
            name: part.state_dict()
            for name, part in zip(("model", "controller", "optim"), straight, strict=True)
        }
        torch.save(parts, tmp_path / "checkpoint")
        halfway = masks(straight[0])
        train(*straight, range(7, 20))

        resumed = start(2)
        saved = torch.load(tmp_path / "checkpoint", weights_only=True)
        for part, name in zip(resumed, ("model", "controller", "optim"), strict=True):
            part.load_state_dict(saved[name])
        assert all(a.equal(b) for a, b in zip(masks(resumed[0]), halfway, strict=True))
        resumed[0].eval()
        assert all(a.equal(b) for a, b in zip(masks(resumed[0]), halfway, strict=True))
        resumed[0].train()
        train(*resumed, range(7, 20))
        assert all(a.equal(b) for a, b in zip(masks(resumed[0]), masks(straight[0]), strict=True))
        x = torch.randn(4, 20)
        assert resumed[0](x).equal(straight[0](x))

    @pytest.mark.parametrize(
        ("options", "arrived"),
        [
            ({}, 10),
            ({"update_every": 4}, 12),
            ({"update_every": 40, "freeze_after": 13}, 13),
            ({"structure": "channel"}, 10),
        ],
    )
    def test_when_the_masks_have_arrived(self, options: dict[str, Any], arrived: int) -> None:
        model = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 10))
        schedule = make_schedule("cubic", 0.99, 20, ramp_end=10)
        controller = sparsify(model, 0.99, schedule=schedule, **options)
        seen = []
        for _ in range(15):
            seen.append(controller.at_final_sparsity)
            controller.step()
        assert seen == [step >= arrived for step in range(15)]

    def test_edges_alone_arrive_too(self) -> None:
        model = nn.Module()
        model.edge_weight = nn.Parameter(torch.rand(50))
        schedule = make_schedule("cubic", 0.0, 20, ramp_end=10)
        controller = sparsify(model, 0.0, edge_sparsity=0.5, schedule=schedule)
        for step in range(12):
            assert controller.at_final_sparsity is (step >= 10)
            controller.step()
        assert controller.edge_sparsity == 24 / 50

    def test_a_controller_over_a_copy_holds_its_masks(self) -> None:
        model = two_layers()
        train(model, sparsify(model, 0.8, method="score"), optimizer(model), range(5))
        copied = copy.deepcopy(model)
        held = SparsityController(copied)
        assert held.frozen
        assert held.target == held.sparsity == pytest.approx(round(0.8 * 899) / 900)
        set_scores(copied, *(-score.detach() for score in score_parameters(copied)))
        held.step()
        assert all(a.equal(b) for a, b in zip(masks(copied), masks(model), strict=True))
        moving = SparsityController(copied, 0.5)
        assert all(a.equal(b) for a, b in zip(masks(copied), masks(model), strict=True))
        moving.step()
        assert moving.sparsity == pytest.approx(round(0.5 * 899) / 900)
        with pytest.raises(InputError, match="give the sparsity too"):
            SparsityController(copied, schedule=make_schedule("step", 0.5, 10))


class TestFinalize:
    @pytest.mark.parametrize("method", METHODS)
    def test_the_plain_module_loads_what_is_left(self, method: str) -> None:
        model = two_layers()
        controller = sparsify(model, 0.9, method=method, update_every=4, freeze_after=8)
        optim = optimizer(model)
        train(model, controller, optim, range(10))
        x = torch.randn(4, 20)
        expected, kept = model(x), masks(model)
        assert controller.finalize() is model
        assert model(x).equal(expected)
        assert [type(child) for child in model] == [nn.Linear, nn.ReLU, nn.Linear]
        plain = two_layers()
        plain.load_state_dict(model.state_dict(), strict=True)
        assert plain(x).equal(expected)
        for mask, weight in zip(kept, (plain[0].weight, plain[2].weight), strict=True):
            assert mask.equal(weight != 0)
            assert weight.is_leaf
        assert controller.sparsity == pytest.approx(round(0.9 * 899) / 900)
        # The optimiser still has the remaining parameters.
        assert {id(p) for p in model.parameters()} == {
            id(p) for p in optim.param_groups[0]["params"]
        }
        assert controller.finalize() is model
