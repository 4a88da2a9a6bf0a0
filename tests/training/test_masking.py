"""Masks and penalties of a configuration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, create_model
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.sparsity import (
    ControllerGroup,
    ScoreMask,
    SparsityController,
    masked_parameters,
    summary,
)
from pyg_stgcn.sparsity.threshold import num_pruned
from pyg_stgcn.training.masking import make_penalties, mask_model

STEPS = 200


def options(**values: Any) -> TrainOptions:
    settings: dict[str, Any] = {"dataset": "x", "epochs": 20, "warmup": 0.1} | values
    return TrainOptions.of(**settings).with_recipe(10_000, "xsub")


def backbone(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return create_model("stgcn", 3, "coco17", base_channels=4)


def test_dense_trainings_have_no_masks() -> None:
    model = backbone()
    assert mask_model(model, options(), STEPS) is None
    assert masked_parameters(model) == []
    assert make_penalties(None, options()) == []


def test_options_reach_the_controller() -> None:
    model = backbone()
    config = options(
        **{"sparsity": 0.8, "method": "released", "schedule": "cubic", "ramp_end": 0.505},
        **{"freeze_after": 0.75, "mask_update_every": 3, "allocation": "uniform"},
        **{"min_density": 0.5, "include": "stages.*", "penalty": 0.1, "penalty_groups": "layer"},
    )
    controller = mask_model(model, config, STEPS)
    assert isinstance(controller, SparsityController)
    assert (controller.schedule.warmup, controller.schedule.ramp_end) == (20, 101)
    assert (controller.freeze_after, controller.update_every) == (150, 3)
    assert (controller.allocation, controller.min_density) == ("uniform", 0.5)
    assert controller.target == 0.8
    entries = masked_parameters(model)
    assert all(isinstance(entry.parametrization, ScoreMask) for entry in entries)
    assert all(entry.name.startswith("stages.") for entry in entries)
    (penalty,) = make_penalties(controller, config)
    assert (penalty.strength, penalty.groups, penalty.ramp_end) == (0.1, "layer", 101)


def test_each_expert_of_an_assembly_has_its_level() -> None:
    model = Assembly([backbone(seed) for seed in range(3)])
    config = options(levels=[0.5, 0.0, 0.9], schedule="constant", warmup=0.0, penalty=0.0)
    controller = mask_model(model, config, STEPS)
    assert isinstance(controller, ControllerGroup)
    assert len(controller.controllers) == 2
    numel = summary(backbone(), **config.maskable).params_maskable
    pruned = [num_pruned(level, numel) for level in (0.5, 0.0, 0.9)]
    kept = [numel - summary(expert, **config.maskable).maskable_kept for expert in model.experts]
    # The zeros of initial weights count in a dense expert; there are none.
    assert kept == pruned
    assert controller.sparsity == pytest.approx(sum(pruned) / (3 * numel))


def test_what_cannot_be_masked_or_penalised() -> None:
    with pytest.raises(InputError, match=r"^freeze_backbone: leaves nothing to prune"):
        mask_model(backbone(), options(sparsity=0.5, freeze_backbone=True, init="run"), STEPS)
    with pytest.raises(InputError, match=r"^penalty 0.1: .*; give a sparsity"):
        make_penalties(None, options(penalty=0.1))
    config = options(sparsity=0.5, schedule="constant", warmup=0.0, penalty=0.1)
    controller = mask_model(backbone(), config, STEPS)
    with pytest.raises(InputError, match="a constant schedule leaves it no time"):
        make_penalties(controller, config)
