"""Sparse evolutionary training: weights grow at random."""

from __future__ import annotations

from torch import Tensor

from pyg_stgcn.sparsity.methods.dynamic import DynamicMask


class SETMask(DynamicMask):
    """Replaces the smallest weights by others, chosen at random.

    From "Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity Inspired
    by Network Science" (Mocanu et al., 2018).
    """

    def growth(self, weight: Tensor) -> Tensor:
        """A random number for each unit."""
        return self.random_units(weight)
