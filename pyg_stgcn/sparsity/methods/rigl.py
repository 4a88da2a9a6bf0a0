"""RigL: weights grow where the gradient is largest."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed

from pyg_stgcn.sparsity.methods.dynamic import DynamicMask


class _AccumulatingMask(torch.autograd.Function):
    """``w * m`` that passes the gradient of all entries on to a mask."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, mask: RigLMask) -> Tensor:
        ctx.mask = mask
        return torch.where(mask.mask, weight, 0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        ctx.mask.accumulate_grad(grad)
        return torch.where(ctx.mask.mask, grad, 0), None


class RigLMask(DynamicMask):
    r"""Replaces the smallest weights by those whose gradient :math:`|\partial L / \partial
    \tilde{w}|` is largest.

    Gradients of pruned weights are computed in the last step before an update only. From "Rigging
    the Lottery: Making All Tickets Winners" (Evci et al., 2020).
    """

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
        structure: str = "unstructured",
    ) -> None:
        super().__init__(weight, score_scale, generator, structure)
        self._accumulated: Tensor | None = None

    def accumulate_grad(self, grad: Tensor) -> None:
        """Add to the gradient of this step."""
        self._accumulated = grad.clone() if self._accumulated is None else self._accumulated + grad

    def growth(self, weight: Tensor) -> Tensor:
        """Magnitude of the gradient, over all processes."""
        accumulated = torch.zeros_like(weight) if self._accumulated is None else self._accumulated
        if distributed.is_available() and distributed.is_initialized():
            accumulated = accumulated.clone()
            distributed.all_reduce(accumulated)
        # A step that overflows in mixed precision gives no importances.
        return self.pool(torch.nan_to_num(accumulated.abs(), nan=0.0, posinf=0.0))

    def needs_dense_grad(self, before_update: bool) -> bool:
        """True only for the last step before an update."""
        return before_update

    def end_update(self, weight: Tensor, optimizer: torch.optim.Optimizer | None) -> None:
        """Forget the gradient."""
        super().end_update(weight, optimizer)
        self._accumulated = None

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned entries set to (positive) zero."""
        if self.before_update and torch.is_grad_enabled():
            return cast(Tensor, _AccumulatingMask.apply(weight, self))
        return super().forward(weight)
