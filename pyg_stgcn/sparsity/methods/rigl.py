"""RigL: weights grow where the gradient is largest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, distributed

from pyg_stgcn.sparsity.methods.dynamic import DynamicMask


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
        # Zeros that are added to the masked weight: their gradient is that of all its entries. They
        # have no name in state dicts, and the optimiser does not know them.
        self._zeros = torch.zeros_like(weight, requires_grad=True)

    def announce(self, before_update: bool) -> None:
        """Forget the gradient of earlier steps."""
        super().announce(before_update)
        self._zeros.grad = None

    def growth(self, weight: Tensor) -> Tensor:
        """Magnitude of the gradient, over all processes."""
        grad = self._zeros.grad
        accumulated = torch.zeros_like(weight) if grad is None else grad
        if distributed.is_available() and distributed.is_initialized():
            accumulated = accumulated.clone()
            distributed.all_reduce(accumulated)
        # A step that overflows in mixed precision gives no importances.
        return self.pool(torch.nan_to_num(accumulated.abs(), nan=0.0, posinf=0.0))

    def needs_dense_grad(self, before_update: bool) -> bool:
        """True only for the last step before an update."""
        return before_update

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned entries set to (positive) zero."""
        masked = super().forward(weight)
        # A compiled graph collects in every step: it does not depend on the number of the step.
        collects = torch.compiler.is_dynamo_compiling() or self.before_update
        if collects and weight.requires_grad and torch.is_grad_enabled():
            masked = masked + self._zeros
        return masked

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self._zeros = torch.zeros_like(fn(self._zeros.detach()), requires_grad=True)
        return self
