"""Group lasso: shrinks weights before they are pruned."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.controller import SparsityController
from pyg_stgcn.sparsity.schedule import SparsitySchedule

GROUPS = ("filter", "input", "layer", "all")


class GroupLasso:
    r"""Penalty on the weights that would be pruned at the final sparsity.

    .. math::
        \Omega = \lambda_t \sum_g \sqrt{|g|} \, \| w_g \odot (1 - m^*_g) \|_2, \qquad
        \lambda_t = \lambda \min(1, t / t_1)

    with the masks :math:`m^*` at the final sparsity, which get no gradient. The penalty is zero
    from the end of the ramp on. Add it to the loss before ``backward()``: weights are then small by
    the time that they are pruned.

    The penalty that "Are Spatial-Temporal Graph Convolution Networks for Human Action Recognition
    Over-Parameterized?" (CVPR 2025) describes; in its release, whose only groups are whole stages,
    it has no gradient.

    Args:
        controller (SparsityController): The controller of the masks.
        strength (float): :math:`\lambda`, not negative. A group of 576 weights gets the factor 24;
            with common learning rates try 1e-4 first.
        groups (str): The groups :math:`g`: all weights of one output (``"filter"``), all weights of
            one input (``"input"``), a layer (``"layer"``), or all layers together (``"all"``).
        ramp_end (int, optional): Step :math:`t_1` from which there is no penalty (default: that of
            the controller's schedule).

    Raises:
        InputError: If an argument is out of range, or the schedule's end is not known.

    Example:
        >>> penalty = GroupLasso(controller, 1e-4)
        >>> loss = cross_entropy(model(x), y) + penalty()
    """

    def __init__(
        self,
        controller: SparsityController,
        strength: float,
        groups: str = "filter",
        ramp_end: int | None = None,
    ) -> None:
        if not 0 <= strength < math.inf:
            raise InputError(
                f"strength {strength!r} is negative or not finite; give a small number or 0"
            )
        if groups not in GROUPS:
            raise InputError(f"groups {groups!r} are unknown; choose one of {', '.join(GROUPS)}")
        if ramp_end is None:
            if not isinstance(controller.schedule, SparsitySchedule):
                raise InputError("the schedule has no known end; give ramp_end, in steps")
            ramp_end = controller.schedule.ramp_end
        self.controller = controller
        self.strength = strength
        self.groups = groups
        self.ramp_end = ramp_end

    @property
    def weight(self) -> float:
        r""":math:`\lambda_t` of the current step."""
        step = self.controller.num_steps
        return 0.0 if step >= self.ramp_end else self.strength * step / self.ramp_end

    def __call__(self) -> Tensor:
        """Return the penalty, a scalar."""
        masked = self.controller.masked
        if self.weight == 0:
            return torch.zeros((), device=masked[0].weight.device)
        to_prune = [
            torch.where(mask, 0, entry.weight)
            for entry, mask in zip(masked, self.controller.masks_at_target(), strict=True)
        ]
        return self.weight * group_norm(to_prune, self.groups)


def group_norm(weights: list[Tensor], groups: str) -> Tensor:
    r"""Sum over all groups of :math:`\sqrt{|g|} \, \| w_g \|_2`.

    Args:
        weights (list of torch.Tensor): One tensor a layer; a vector is one group.
        groups (str): See :class:`GroupLasso`.
    """
    if groups == "all":
        rows = [torch.cat([weight.flatten() for weight in weights])[None]]
    elif groups == "layer":
        rows = [weight.flatten()[None] for weight in weights]
    else:
        dim = ("filter", "input").index(groups)
        rows = [
            weight.movedim(dim, 0).flatten(1) if weight.dim() > 1 else weight[None]
            for weight in weights
        ]
    parts = [math.sqrt(row.size(1)) * torch.linalg.vector_norm(row, dim=1).sum() for row in rows]
    return cast(Tensor, sum(parts))
