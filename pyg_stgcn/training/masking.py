"""Masks and penalties of a configuration."""

from __future__ import annotations

import math

from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly
from pyg_stgcn.runs.options import RELEASED, TrainOptions
from pyg_stgcn.runs.recipe import RAMP
from pyg_stgcn.sparsity import (
    ControllerGroup,
    GroupLasso,
    SparsityController,
    make_schedule,
    sparsify,
    summary,
)


def mask_model(
    model: nn.Module, config: TrainOptions, total_steps: int
) -> SparsityController | ControllerGroup | None:
    """Put the masks of a configuration on a model; those of an assembly are on its experts.

    Args:
        model: A backbone or an assembly, initialised.
        config: Complete, as :meth:`TrainOptions.with_recipe` leaves it.
        total_steps: Optimiser steps of the whole training.

    Returns:
        The controller of the masks; ``None`` for a dense training.

    Raises:
        InputError: The configuration contradicts itself.
    """
    if not isinstance(model, Assembly):
        return _mask(model, config.sparsity.sparsity, config, total_steps)
    masked = [
        _mask(expert, level, config, total_steps)
        for expert, level in zip(model.experts, config.model.levels, strict=True)
    ]
    controllers = [controller for controller in masked if controller is not None]
    dense = [
        summary(expert, **config.maskable).params_maskable
        for expert, controller in zip(model.experts, masked, strict=True)
        if controller is None
    ]
    return ControllerGroup(controllers, sum(dense)) if controllers else None


def _mask(
    model: nn.Module, sparsity: float, config: TrainOptions, total_steps: int
) -> SparsityController | None:
    if sparsity == 0 and config.sparsity.edge_sparsity == 0:
        return None
    if config.model.freeze_backbone:
        raise InputError(
            "freeze_backbone: leaves nothing to prune; leave it out, or give no sparsity"
        )
    options = config.sparsity
    assert options.schedule and options.mask_update_every and options.allocation
    assert options.warmup is not None and options.min_density is not None and options.score_scale
    ramp_end = options.ramp_end
    if ramp_end is None and options.schedule in ("linear", "cubic"):
        ramp_end = options.warmup + RAMP * (1 - options.warmup)
    schedule = make_schedule(
        options.schedule,
        sparsity,
        total_steps,
        warmup=round(options.warmup * total_steps),
        ramp_end=None if ramp_end is None else math.ceil(ramp_end * total_steps),
    )
    freeze_after = options.freeze_after
    maskable = config.maskable
    del maskable["edges"]  # Follow from the sparsities.
    return sparsify(
        model,
        sparsity,
        method="score" if options.method == RELEASED else options.method,
        **maskable,
        structure=options.structure,
        score_scale=options.score_scale,
        allocation=options.allocation,
        min_density=options.min_density,
        edge_sparsity=options.edge_sparsity,
        schedule=schedule,
        update_every=options.mask_update_every,
        freeze_after=None if freeze_after is None else round(freeze_after * total_steps),
    )


def make_penalties(
    controller: SparsityController | ControllerGroup | None, config: TrainOptions
) -> list[GroupLasso]:
    """Penalties of a configuration; of an assembly, one for each expert.

    Args:
        controller: The controller of the masks, if there are any.
        config: Gives the strength and the groups.

    Raises:
        InputError: The training is dense, or its schedule has no ramp.
    """
    options = config.sparsity
    if options.penalty == 0:
        return []
    if controller is None:
        raise InputError(
            f"penalty {options.penalty}: acts on weights that will be pruned; give a sparsity"
        )
    parts = controller.controllers if isinstance(controller, ControllerGroup) else [controller]
    penalties = [GroupLasso(part, options.penalty, options.penalty_groups) for part in parts]
    if penalties[0].ramp_end == 0:
        raise InputError(
            f"penalty {options.penalty}: a constant schedule leaves it no time; "
            "choose schedule='cubic', 'linear' or 'step'"
        )
    return penalties
