"""Keep the largest weights."""

from __future__ import annotations

from torch import Tensor

from pyg_stgcn.sparsity.mask import Mask


class MagnitudeMask(Mask):
    r"""Keeps the weights of largest magnitude.

    A pruned weight gets no gradient; weight decay shrinks it. It returns only if kept weights
    become smaller than it is. Along a ramp this is the gradual pruning of "To Prune, or Not to
    Prune: Exploring the Efficacy of Pruning for Model Compression" (Zhu and Gupta, 2017).
    """

    def ranking(self, weight: Tensor) -> Tensor:
        """Importance :math:`|w|`."""
        return self.pool(weight.abs())
