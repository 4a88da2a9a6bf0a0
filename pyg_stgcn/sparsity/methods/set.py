"""Sparse evolutionary training: weights grow by lot."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.sparsity.methods.dynamic import DynamicMask


class SETMask(DynamicMask):
    r"""Replaces the weakest weights by others drawn by lot.

    From "Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity Inspired
    by Network Science" (Mocanu et al., 2018). The lots of an update depend on the seed of the mask
    and the number of updates before, so that a resumed training draws what it would have drawn.
    """

    draw: Tensor

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(weight, score_scale, generator)
        device = "cpu" if generator is None else generator.device
        seed = torch.randint(2**40, (1,), generator=generator, device=device)
        self.register_buffer("draw", seed.to(weight.device))

    def growth(self, weight: Tensor) -> Tensor:
        """Lots :math:`u \\sim U(0, 1)`, new ones for every update."""
        generator = torch.Generator().manual_seed(int(self.draw))
        return torch.rand(weight.shape, generator=generator).to(weight)

    def end_update(self) -> None:
        """Go on to the next lots."""
        super().end_update()
        self.draw += 1
