"""Messages about masks that miss the sparsity asked for."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.sparsity import (
    STRUCTURES,
    ControllerGroup,
    make_schedule,
    masked_parameters,
    put_masks,
    sparsify,
)


def convolutions() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 20, 1), nn.Conv2d(20, 24, (9, 1)), nn.Conv2d(24, 16, 1))


class Graph(nn.Module):
    """All pairs of six nodes, and a linear map."""

    def __init__(self) -> None:
        super().__init__()
        pairs = torch.cartesian_prod(torch.arange(6), torch.arange(6)).t()
        self.register_buffer("edge_index", pairs)
        self.edge_weight = nn.Parameter(torch.rand(36))
        self.linear = nn.Linear(50, 50)


def num_zeros(weights: list[Tensor]) -> float:
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / sum(weight.numel() for weight in weights)


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_it_is_said_where_the_zeros_are_too_few_or_too_many(
    structure: str, allocation: str
) -> None:
    said = 0
    for asked in (0.3, 0.5) if structure == "2:4" else (0.3, 0.9, 0.97, 0.99):
        model = convolutions()
        controller = sparsify(model, asked, structure=structure, allocation=allocation)
        lines = controller.sparsity_gaps()
        controller.finalize()
        reached = num_zeros([layer.weight for layer in model])
        assert bool(lines) == (abs(reached - asked) > 0.005)
        for line in lines:
            assert line.startswith(f"sparsity {asked} asked for, {reached:.4g} reached: structure")
            assert f"structure {structure} " in line
        said += len(lines)
    if structure == "unstructured":
        assert said == 0
    elif structure == "channel" and allocation != "global":
        assert said > 0


def test_one_output_stays_of_each_layer() -> None:
    # Of eight outputs one, of each four inputs two, of three inputs two, of two blocks one.
    for layer, asked, structure, reached in (
        (nn.Linear(10, 8), 0.95, "channel", 7 / 8),
        (nn.Linear(3, 8), 0.5, "2:4", 1 / 3),
        (nn.Linear(1, 16), 0.75, "block8", 1 / 2),
    ):
        controller = sparsify(layer, asked, structure=structure)
        (line,) = controller.sparsity_gaps()
        assert f"sparsity {asked} asked for, {reached:.4g} reached: structure {structure}" in line
    assert sparsify(nn.Linear(10, 8), 0.75, structure="channel").sparsity_gaps() == []
    assert sparsify(nn.Linear(8, 8), 0.5, structure="2:4").sparsity_gaps() == []


def test_few_single_weights_are_as_near_as_can_be() -> None:
    for size in (2, 3, 7, 30, 150):
        for asked in (0.1, 0.5, 0.77, 0.95):
            layer = nn.Linear(1, size)
            assert sparsify(layer, asked, method="random").sparsity_gaps() == []


def test_edges_that_nodes_need() -> None:
    controller = sparsify(Graph(), 0.5, edge_sparsity=0.9)
    # Each of six nodes keeps one of 36 edges.
    (line,) = controller.sparsity_gaps()
    assert line.startswith("edge sparsity 0.9 asked for, 0.8333 reached: every node keeps one edge")
    assert sparsify(Graph(), 0.5, edge_sparsity=0.8).sparsity_gaps() == []


def test_it_is_known_before_the_training() -> None:
    model = nn.Linear(10, 8)
    schedule = make_schedule("cubic", 0.95, 100)
    controller = sparsify(model, 0.95, structure="channel", schedule=schedule)
    assert controller.sparsity == 0
    (line,) = controller.sparsity_gaps()
    assert "0.875 reached" in line
    assert controller.sparsity == 0


def test_masks_that_stand_miss_nothing() -> None:
    layer = nn.Linear(4, 4)
    assert put_masks(layer, {"weight": torch.eye(4) > 0}).sparsity_gaps() == []
    assert len(masked_parameters(layer)) == 1


def test_a_group_says_the_same_once() -> None:
    layers = [nn.Linear(10, 8) for _ in range(3)]
    asked = (0.95, 0.95, 0.99)
    group = ControllerGroup(
        [
            sparsify(layer, each, structure="channel")
            for layer, each in zip(layers, asked, strict=True)
        ]
    )
    lines = group.sparsity_gaps()
    assert [float(re.findall(r"[\d.]+", line)[0]) for line in lines] == [0.95, 0.99]
