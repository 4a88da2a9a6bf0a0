"""Sparsity as a function of the optimiser step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from pyg_stgcn.errors import InputError


class Schedule(Protocol):
    """Callable that maps a number of optimiser steps to the sparsity after them."""

    def __call__(self, step: int, /) -> float:
        """Sparsity, in [0, 1), after ``step`` optimiser steps."""


_SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda u: 1.0,
    "step": lambda u: 1.0,
    "linear": lambda u: u,
    "cubic": lambda u: 1 - (1 - u) ** 3,
}
SCHEDULES = tuple(_SHAPES)


def check_sparsity(value: float, name: str = "sparsity") -> float:
    """Return a sparsity, or raise an error with the name of the argument if it is out of range."""
    if not 0 <= value < 1:
        raise InputError(f"{name} {value!r} is not in [0, 1); give a fraction of zeros such as 0.9")
    return float(value)


@dataclass(frozen=True)
class SparsitySchedule:
    r"""Schedule that is zero for ``warmup`` steps and then rises to the target at ``ramp_end``.

    With :math:`u = (t - t_w) / (t_1 - t_w)` the ramp is

    .. math::
        \varsigma^* u \quad\text{(linear)}, \qquad
        \varsigma^* \left(1 - (1 - u)^3\right) \quad\text{(cubic)}.

    :func:`make_schedule` makes it and checks its arguments.

    Args:
        name (str): ``"constant"``, ``"step"``, ``"linear"`` or ``"cubic"``.
        target (float): Final sparsity.
        warmup (int): First step with a sparsity above zero (for a ramp, the last at zero).
        ramp_end (int): First step at the target; equal to ``warmup`` where there is no ramp.
    """

    name: str
    target: float
    warmup: int = 0
    ramp_end: int = 0

    def __call__(self, step: int, /) -> float:
        """Sparsity after ``step`` optimiser steps."""
        if step < self.warmup:
            return 0.0
        if step >= self.ramp_end:
            return self.target
        u = (step - self.warmup) / (self.ramp_end - self.warmup)
        return self.target * _SHAPES[self.name](u)


def make_schedule(
    name: str,
    target: float,
    total_steps: int,
    warmup: int = 0,
    ramp_end: int | None = None,
) -> SparsitySchedule:
    """Make a schedule by name; all times count optimiser steps.

    Args:
        name (str): ``"constant"`` (the target from the start), ``"step"`` (zero, then the target
            from ``warmup`` on), ``"linear"`` or ``"cubic"`` (a ramp from ``warmup`` to
            ``ramp_end``).
        target (float): Final sparsity, in [0, 1).
        total_steps (int): Steps of the whole training.
        warmup (int): Steps at sparsity zero.
        ramp_end (int, optional): Step at which a ramp ends (default: half-way between ``warmup``
            and ``total_steps``).

    Raises:
        InputError: If the name is unknown or the target would not be reached by ``total_steps``.

    Example:
        >>> schedule = make_schedule("cubic", 0.9, total_steps=1000)
        >>> schedule(250), schedule(500)
        (0.7875, 0.9)
    """
    if name not in _SHAPES:
        raise InputError(f"schedule {name!r} is unknown; choose one of {', '.join(SCHEDULES)}")
    target = check_sparsity(target)
    if total_steps < 1:
        raise InputError(f"total_steps {total_steps} is not positive; train for one step at least")
    if not 0 <= warmup < total_steps:
        raise InputError(
            f"warmup {warmup} is outside the {total_steps} steps of training, which would end "
            f"unpruned; choose it in [0, {total_steps})"
        )
    if name == "constant" and warmup:
        raise InputError(f"a constant schedule has no warmup ({warmup}); use 'step'")
    if name in ("constant", "step"):
        if ramp_end is not None:
            raise InputError(f"a {name} schedule has no ramp_end ({ramp_end}); use 'cubic'")
        return SparsitySchedule(name, target, warmup, warmup)
    if ramp_end is None:
        ramp_end = warmup + max((total_steps - warmup) // 2, 1)
    if not warmup < ramp_end <= total_steps:
        raise InputError(
            f"ramp_end {ramp_end} is not after warmup {warmup} and within the {total_steps} "
            f"steps of training; choose it in ({warmup}, {total_steps}]"
        )
    return SparsitySchedule(name, target, warmup, ramp_end)


def rescale(schedule: Schedule, target: float, new_target: float) -> Schedule:
    """The same schedule with another target."""
    if isinstance(schedule, SparsitySchedule):
        return replace(schedule, target=new_target)
    if target == 0:
        return SparsitySchedule("constant", new_target)
    return lambda step: new_target * schedule(step) / target
