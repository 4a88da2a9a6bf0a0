"""The masks and penalties that a configuration asks for."""

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
    """Put the masks that a configuration asks for on a model, those of an assembly on its experts.

    Args:
        model: A backbone or an assembly, with its first weights.
        config: Complete, as :meth:`TrainOptions.with_recipe` leaves it.
        total_steps: Of the optimiser, in the whole training.

    Returns:
        Who moves the masks; ``None`` if nothing is to be pruned.

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
            "--freeze-backbone: leaves nothing to prune; leave it out, or give no sparsity"
        )
    assert (
        config.sparsity.schedule
        and config.sparsity.mask_update_every
        and config.sparsity.allocation
    )
    assert (
        config.sparsity.warmup is not None
        and config.sparsity.min_density is not None
        and config.sparsity.score_scale
    )
    ramp_end = config.sparsity.ramp_end
    if ramp_end is None and config.sparsity.schedule in ("linear", "cubic"):
        ramp_end = config.sparsity.warmup + RAMP * (1 - config.sparsity.warmup)
    schedule = make_schedule(
        config.sparsity.schedule,
        sparsity,
        total_steps,
        warmup=round(config.sparsity.warmup * total_steps),
        ramp_end=None if ramp_end is None else math.ceil(ramp_end * total_steps),
    )
    freeze_after = config.sparsity.freeze_after
    if freeze_after is not None:
        freeze_after = round(freeze_after * total_steps)
    maskable = config.maskable
    del maskable["edges"]  # Follow from the sparsities.
    return sparsify(
        model,
        sparsity,
        method="score" if config.sparsity.method == RELEASED else config.sparsity.method,
        **maskable,
        structure=config.sparsity.structure,
        score_scale=config.sparsity.score_scale,
        allocation=config.sparsity.allocation,
        min_density=config.sparsity.min_density,
        edge_sparsity=config.sparsity.edge_sparsity,
        schedule=schedule,
        update_every=config.sparsity.mask_update_every,
        freeze_after=freeze_after,
    )


def make_penalties(
    controller: SparsityController | ControllerGroup | None, config: TrainOptions
) -> list[GroupLasso]:
    """The penalties that a configuration asks for, of an assembly one an expert.

    Args:
        controller: Who moves the masks, if there are any.
        config: Says how strong they are.

    Raises:
        InputError: There is nothing to penalise, or no time for it.
    """
    if config.sparsity.penalty == 0:
        return []
    if controller is None:
        raise InputError(
            f"--penalty {config.sparsity.penalty}: acts on what is about to be pruned; give "
            "a sparsity"
        )
    parts = controller.controllers if isinstance(controller, ControllerGroup) else [controller]
    penalties = [
        GroupLasso(part, config.sparsity.penalty, config.sparsity.penalty_groups) for part in parts
    ]
    if penalties[0].ramp_end == 0:
        raise InputError(
            f"--penalty {config.sparsity.penalty}: a constant schedule leaves it no time; "
            "choose --schedule cubic, linear or step"
        )
    return penalties
