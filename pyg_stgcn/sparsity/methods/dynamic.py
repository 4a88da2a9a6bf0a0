"""Dynamic sparse training: now and then the weakest weights make room for others."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.sparsity.mask import Mask
from pyg_stgcn.sparsity.methods.random import draw_uniform
from pyg_stgcn.sparsity.threshold import keep_highest


class DynamicMask(Mask):
    r"""Base of the methods that drop and grow.

    At an update the share :attr:`drop` of the kept weights, those of smallest magnitude, is put up
    for replacement; of these and of the pruned ones, those with the highest :meth:`growth` fill the
    places. What has grown starts at zero (:class:`SparsityController` sees to that). Between
    updates the mask stands still.

    The first mask is drawn by lot. All lots depend on the seed of the mask and the number of
    updates before, so that a resumed training draws what it would have drawn.
    """

    draw: Tensor

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
        structure: str = "unstructured",
    ) -> None:
        super().__init__(weight, score_scale, generator, structure)
        #: Share of the kept weights that the next update puts up for replacement.
        self.drop = 0.0
        device = "cpu" if generator is None else generator.device
        seed = torch.randint(2**40, (1,), generator=generator, device=device)
        self.register_buffer("draw", seed.to(weight.device))

    @property
    def rank_scale(self) -> float:
        """One: the ranking of each layer is in units of its own largest value."""
        return 1.0

    def growth(self, weight: Tensor) -> Tensor:
        """How much each unit deserves to grow, not negative."""
        raise NotImplementedError

    def ranking(self, weight: Tensor) -> Tensor:
        """Importance: above 1 for those that stay, in the order of their magnitude, and up to 1 for
        those that compete for the other places.
        """
        if bool(self.mask.all()):  # Nothing has been pruned yet.
            return self.lots(weight)
        dtype = torch.promote_types(weight.dtype, torch.float32)
        magnitude = self.pool(weight.abs().to(dtype))
        held = self.pool(self.mask.to(dtype)) > 0
        kept = int(torch.count_nonzero(held))
        staying = kept - int(self.drop * kept)
        order = torch.where(held, magnitude, -1).flatten()
        stays = keep_highest(order, order.numel() - staying).view_as(held)
        return torch.where(stays, 2 + _unit(magnitude), _unit(self.growth(weight)))

    def lots(self, weight: Tensor) -> Tensor:
        """Lots :math:`u \\sim U(0, 1)`, new ones for every update."""
        generator = torch.Generator().manual_seed(int(self.draw))
        return draw_uniform(self.unit_shape, generator).to(weight.device)

    def end_update(self) -> None:
        """Go on to the next lots, and forget what only this update needed."""
        self.draw += 1
        self.drop = 0.0


def _unit(values: Tensor) -> Tensor:
    return values / values.amax().clamp_min(torch.finfo(values.dtype).tiny)
