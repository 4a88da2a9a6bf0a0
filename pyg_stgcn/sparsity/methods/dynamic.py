"""Dynamic sparse training: from time to time others take the places of the smallest weights."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.sparsity.mask import Mask
from pyg_stgcn.sparsity.methods.random import draw_uniform
from pyg_stgcn.sparsity.threshold import keep_highest


class DynamicMask(Mask):
    r"""Base of the methods that drop and grow.

    At an update a fraction of the kept weights, those of smallest magnitude, compete with the
    pruned ones: those with the highest :meth:`growth` take the places. A weight that grows starts
    at zero, and so does the optimiser's state of it, such as its momentum. Between updates the mask
    does not change.

    The first mask is random. All random numbers depend on the seed of the mask and the number of
    updates before, so that a resumed training draws those that it would have drawn.
    """

    draw: Tensor
    _before: Tensor

    def __init__(
        self,
        weight: Tensor,
        score_scale: str = "fan_in",
        generator: torch.Generator | None = None,
        structure: str = "unstructured",
    ) -> None:
        super().__init__(weight, score_scale, generator, structure)
        #: Fraction of the kept weights that the current update may replace.
        self.drop_fraction = 0.0
        device = "cpu" if generator is None else generator.device
        seed = torch.randint(2**40, (1,), generator=generator, device=device)
        self.register_buffer("draw", seed.to(weight.device))

    @property
    def rank_scale(self) -> float:
        """One: the ranking of each layer is in units of its own largest value."""
        return 1.0

    def growth(self, weight: Tensor) -> Tensor:
        """Priority of each unit to grow, not negative."""
        raise NotImplementedError

    def ranking(self, weight: Tensor) -> Tensor:
        """Importance: above 1 for those that stay, in the order of their magnitude, and up to 1 for
        those that compete for the other places.
        """
        if bool(self.mask.all()):  # The first mask.
            return self.random_units(weight)
        dtype = torch.promote_types(weight.dtype, torch.float32)
        magnitude = self.pool(weight.abs().to(dtype))
        held = self.pool(self.mask.to(dtype)) > 0
        kept = int(torch.count_nonzero(held))
        staying = kept - int(self.drop_fraction * kept)
        order = torch.where(held, magnitude, -1).flatten()
        stays = keep_highest(order, order.numel() - staying).view_as(held)
        return torch.where(stays, 2 + _unit(magnitude), _unit(self.growth(weight)))

    def random_units(self, weight: Tensor) -> Tensor:
        """Random numbers :math:`u \\sim U(0, 1)`, one a unit, new ones for every update."""
        generator = torch.Generator().manual_seed(int(self.draw))
        return draw_uniform(self.unit_shape, generator).to(weight.device)

    def begin_update(self, drop_fraction: float) -> None:
        """Keep the current mask, to know afterwards which weights have grown."""
        self.drop_fraction = drop_fraction
        self._before = self.mask.clone()

    @torch.no_grad()
    def end_update(self, weight: Tensor, optimizer: torch.optim.Optimizer | None) -> None:
        """Let weights that have grown start at zero, without momentum."""
        grown = self.mask & ~self._before
        weight.masked_fill_(grown, 0)
        state = {} if optimizer is None else optimizer.state.get(weight, {})
        for value in state.values():
            if isinstance(value, Tensor) and value.shape == grown.shape:
                value.masked_fill_(grown, 0)
        self.draw += 1
        self.drop_fraction = 0.0
        del self._before


def _unit(values: Tensor) -> Tensor:
    return values / values.amax().clamp_min(torch.finfo(values.dtype).tiny)
