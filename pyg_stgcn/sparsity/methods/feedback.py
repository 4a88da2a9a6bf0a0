"""Keep the largest weights, and train the pruned ones too."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from pyg_stgcn.sparsity.methods.magnitude import MagnitudeMask


class _FeedbackMask(torch.autograd.Function):
    """``w * m`` with the gradient of the identity."""

    @staticmethod
    def forward(weight: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, weight, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Save nothing: the backward pass needs no values of the forward pass."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class FeedbackMask(MagnitudeMask):
    r"""Keeps the weights of largest magnitude, and trains the pruned ones too.

    .. math::
        \frac{\partial L}{\partial w} = G, \qquad
        G = \frac{\partial L}{\partial \tilde{w}}

    for all weights, pruned or not. A weight that was pruned too early grows until it returns. From
    "Dynamic Model Pruning with Feedback" (Lin et al., 2020).
    """

    def needs_dense_grad(self, before_update: bool) -> bool:
        """True: the mask needs them in every step."""
        return True

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned entries set to (positive) zero."""
        return cast(Tensor, _FeedbackMask.apply(weight, self.mask))
