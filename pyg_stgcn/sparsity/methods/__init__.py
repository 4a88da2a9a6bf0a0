"""What is kept: one file per method."""

from pyg_stgcn.sparsity.mask import Mask
from pyg_stgcn.sparsity.methods.dynamic import DynamicMask
from pyg_stgcn.sparsity.methods.feedback import FeedbackMask
from pyg_stgcn.sparsity.methods.magnitude import MagnitudeMask
from pyg_stgcn.sparsity.methods.random import RandomMask
from pyg_stgcn.sparsity.methods.rigl import RigLMask
from pyg_stgcn.sparsity.methods.score import ScoreMask
from pyg_stgcn.sparsity.methods.set import SETMask

METHODS: dict[str, type[Mask]] = {
    "feedback": FeedbackMask,
    "magnitude": MagnitudeMask,
    "score": ScoreMask,
    "rigl": RigLMask,
    "set": SETMask,
    "random": RandomMask,
}

__all__ = [
    "METHODS",
    "DynamicMask",
    "FeedbackMask",
    "MagnitudeMask",
    "RandomMask",
    "RigLMask",
    "SETMask",
    "ScoreMask",
]
