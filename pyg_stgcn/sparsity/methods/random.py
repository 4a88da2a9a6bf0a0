"""Keep weights drawn by lot: the control that every other method has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_stgcn.sparsity.mask import Mask


class RandomMask(Mask):
    r"""Keeps weights drawn by lot, once and for all.

    Each unit has a lot :math:`u \sim U(0, 1)`, and those with the lowest go. The mask looks
    neither at the weights nor at the data. Along a ramp what is pruned stays pruned.
    """

    lot: Tensor

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
        structure: str = "unstructured",
    ) -> None:
        super().__init__(weight, score_scale, generator, structure)
        lot = draw_uniform(self.unit_shape, generator)
        self.register_buffer("lot", lot.to(weight.device))

    @property
    def rank_scale(self) -> float:
        """One: the lots of all layers are alike."""
        return 1.0

    def ranking(self, weight: Tensor) -> Tensor:
        """Importance :math:`u`."""
        return self.lot


def draw_uniform(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Draw :math:`U(0, 1)` in single precision.

    Drawn on the generator's device: the same seed gives the same numbers for every device.
    """
    device = "cpu" if generator is None else generator.device
    return torch.rand(tuple(shape), generator=generator, device=device)
