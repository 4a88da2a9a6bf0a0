"""Keep random weights: the baseline of every comparison."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_stgcn.sparsity.mask import Mask


class RandomMask(Mask):
    r"""Keeps random weights, drawn once at the start.

    Each unit has a random number :math:`u \sim U(0, 1)`, and those with the lowest are pruned. The
    mask depends neither on the weights nor on the data. Along a ramp, pruned weights stay pruned.
    """

    random: Tensor

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
        structure: str = "unstructured",
    ) -> None:
        super().__init__(weight, score_scale, generator, structure)
        random = draw_uniform(self.unit_shape, generator)
        self.register_buffer("random", random.to(weight.device))

    @property
    def rank_scale(self) -> float:
        """One: the numbers of all layers have the same range."""
        return 1.0

    def ranking(self, weight: Tensor) -> Tensor:
        """Importance :math:`u`."""
        return self.random


def draw_uniform(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Random numbers :math:`U(0, 1)` in single precision.

    They are on the generator's device: the same seed gives the same numbers for every device.
    """
    device = "cpu" if generator is None else generator.device
    return torch.rand(tuple(shape), generator=generator, device=device)
