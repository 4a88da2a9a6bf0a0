"""Keep the weights of highest learned score."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from pyg_stgcn.sparsity.mask import Mask


class _StraightThroughMask(torch.autograd.Function):
    """``w * m`` whose step function ``m = 1[s >= tau]`` has the gradient of the identity."""

    @staticmethod
    def forward(weight: Tensor, score: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, weight, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        weight, _, mask = inputs
        ctx.save_for_backward(weight, mask)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weight, mask = ctx.saved_tensors
        (grad,) = grads
        grad_weight = torch.where(mask, grad, 0) if ctx.needs_input_grad[0] else None
        grad_score = grad * weight if ctx.needs_input_grad[1] else None
        return grad_weight, grad_score, None


class ScoreMask(Mask):
    r"""Keeps the weights of highest score, which is learned with a straight-through gradient.

    .. math::
        \frac{\partial L}{\partial w} = G \odot m, \qquad
        \frac{\partial L}{\partial s} = G \odot w, \qquad
        G = \frac{\partial L}{\partial \tilde{w}}

    A pruned weight gets no gradient, but its score does, so that it can return. Scores start as
    :math:`s \sim U(-b, b)`, :math:`b = \sqrt{6 / \mathrm{fan\_in}}`. ``score_scale`` changes the
    comparison of layers only, not the gradients.

    From "Are Spatial-Temporal Graph Convolution Networks for Human Action Recognition
    Over-Parameterized?" (CVPR 2025), whose release has ``score_scale="none"``.
    """

    score: nn.Parameter

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
        structure: str = "unstructured",
    ) -> None:
        super().__init__(weight, score_scale, generator, structure)
        # On the generator's device, so that the same seed gives the same masks on every device; in
        # single precision at least, since half precision would make many scores equal.
        drawn = torch.empty(
            weight.shape,
            dtype=torch.promote_types(weight.dtype, torch.float32),
            device=generator.device if generator is not None else "cpu",
        ).uniform_(-self.bound, self.bound, generator=generator)
        self.score = nn.Parameter(drawn.to(weight))

    def ranking(self, weight: Tensor) -> Tensor:
        """Importance :math:`s`, signed."""
        return self.pool(self.score)

    def needs_dense_grad(self, before_update: bool) -> bool:
        """True: the mask needs them in every step."""
        return True

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned entries set to (positive) zero."""
        if torch.is_grad_enabled():
            return cast(Tensor, _StraightThroughMask.apply(weight, self.score, self.mask))
        return super().forward(weight)
