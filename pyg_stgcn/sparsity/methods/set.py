"""Sparse evolutionary training: weights grow by lot."""

from __future__ import annotations

from torch import Tensor

from pyg_stgcn.sparsity.methods.dynamic import DynamicMask


class SETMask(DynamicMask):
    """Replaces the weakest weights by others drawn by lot.

    From "Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity Inspired
    by Network Science" (Mocanu et al., 2018).
    """

    def growth(self, weight: Tensor) -> Tensor:
        """A lot for each unit."""
        return self.lots(weight)
