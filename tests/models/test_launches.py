"""The number of operators in a training step, which a GPU with small clips waits for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from pyg_stgcn.models import create_model, list_models, random_clips
from pyg_stgcn.nn import PersonNorm
from pyg_stgcn.nn.feature_norm import FeatureNorm

#: Operators, forward and backward together, at most.
LIMITS = {"stgcn": 230, "stgcnpp": 600, "aagcn": 1000, "ctrgcn": 950, "dgstgcn": 1300}


@pytest.fixture(scope="module")
def launches() -> Iterator[ModuleType]:
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    yield import_module("launches")
    sys.path.remove(folder)


def total(counts: dict[str, dict[str, int]]) -> int:
    return sum(sum(counts[part].values()) for part in ("forward", "backward"))


def test_all_models_have_a_limit() -> None:
    assert set(LIMITS) == set(list_models())


@pytest.mark.parametrize("name", LIMITS)
def test_a_training_step_has_few_operators(launches: ModuleType, name: str) -> None:
    counts = launches.count_variant(name, "ours", "meta", 0.0)
    assert total(counts) <= LIMITS[name]
    # One for the parameters together, not one for each.
    assert sum(counts["optimizer"].values()) < 10


def test_fewer_than_the_reference(launches: ModuleType) -> None:
    counts = launches.count_model("stgcn", "meta", 0.0)
    assert total(counts["ours"]) < total(counts["reference"])


def test_only_counters_that_are_read_are_counted() -> None:
    model = create_model("ctrgcn", 2, "hand21", base_channels=4, num_stages=2)
    model(*random_clips(model, 2, 2, 8))
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert int(module.num_batches_tracked) == 0, name
            assert module.running_mean.any(), name
    assert isinstance(model.data_norm, PersonNorm)
    assert all(int(norm.num_batches_tracked) == 1 for norm in model.data_norm.slots)


def test_a_cumulative_average_counts_its_batches() -> None:
    norm, usual = FeatureNorm(3), nn.BatchNorm2d(3)
    norm.momentum = usual.momentum = None
    for x in torch.randn(4, 2, 3, 5, 6):
        norm(x), usual(x)
    for name, value in usual.state_dict().items():
        assert torch.equal(norm.state_dict()[name], value), name


@pytest.mark.cuda
def test_a_gpu_dispatches_what_meta_does(launches: ModuleType) -> None:
    expected = launches.count_variant("stgcn", "ours", "meta", 0.0)
    model = create_model("stgcn", launches.CLASSES, launches.SKELETON).cuda()
    batch = launches.make_batches(launches.PERSONS["two"], "cuda")["ours"][0]
    found = launches.count_step(model, batch, launches.OperatorCounter)
    assert abs(total(found) - total(expected)) <= 0.05 * total(expected)
    kernels = launches.count_variant("stgcn", "ours", "cuda", 0.0)
    assert total(kernels) < 4 * total(found)
