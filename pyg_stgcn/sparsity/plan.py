"""Checks of the settings of a controller."""

from __future__ import annotations

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.allocation import ALLOCATIONS
from pyg_stgcn.sparsity.schedule import Schedule, SparsitySchedule, check_sparsity


def check_plan(
    sparsity: float | None,
    *,
    edge_sparsity: float,
    schedule: Schedule | None,
    allocation: str,
    min_density: float,
    freeze_after: int | None,
    update_every: int,
    drop_fraction: float,
) -> None:
    """Check the settings of a :class:`SparsityController`, see there.

    Raises:
        InputError: If one is out of range or contradicts another.
    """
    if sparsity is not None:
        check_sparsity(sparsity)
    elif schedule is not None:
        raise InputError("schedule: needs its final sparsity; give the sparsity too")
    check_sparsity(edge_sparsity, "edge_sparsity")
    if allocation not in ALLOCATIONS:
        raise InputError(
            f"allocation {allocation!r} is unknown; choose one of {', '.join(ALLOCATIONS)}"
        )
    if not 0 <= min_density <= 1:
        raise InputError(
            f"min_density {min_density!r} is not in [0, 1]; give the least density of a layer as a "
            f"fraction of the density of all layers"
        )
    if isinstance(schedule, SparsitySchedule) and schedule.target != sparsity:
        raise InputError(
            f"the schedule leads to sparsity {schedule.target}, not to {sparsity}; "
            f"make it with the same target"
        )
    if update_every < 1:
        raise InputError(f"update_every {update_every} is not positive; count optimiser steps")
    if not 0 < drop_fraction <= 1:
        raise InputError(
            f"drop_fraction {drop_fraction!r} is not in (0, 1]; give the fraction of the kept "
            "weights to replace, such as 0.3"
        )
    if freeze_after is not None and freeze_after < 0:
        raise InputError(f"freeze_after {freeze_after} is negative; count optimiser steps from 0")
    if freeze_after is not None and schedule is not None and sparsity is not None:
        frozen_at = schedule(freeze_after)
        if abs(frozen_at - sparsity) > 1e-9:
            raise InputError(
                f"freeze_after {freeze_after} would hold the masks at sparsity {frozen_at:.4g}, "
                f"before {sparsity}; choose a later step"
            )
