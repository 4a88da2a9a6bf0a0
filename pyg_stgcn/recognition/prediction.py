"""The answer to a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """The class that a model gives to a clip, or to one person of it.

    Args:
        label (str, optional): Name of the most probable class; None if nobody is in the clip.
        probability (float): Its probability; 0 if nobody is there.
        probabilities (numpy.ndarray): Probabilities of all classes, in their order, shape
            :math:`(\\mathrm{classes})`; zeros if nobody is there.
        num_persons (int): Persons in the clip.
    """

    label: str | None
    probability: float
    probabilities: NDArray[np.float32]
    num_persons: int

    @property
    def is_nobody(self) -> bool:
        """Whether nobody is in the clip, so that there is no answer."""
        return self.label is None
