"""Methods of pruning: one file each."""

from collections.abc import Callable
from typing import TypeVar

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

_Mask = TypeVar("_Mask", bound=type[Mask])


def register_method(name: str) -> Callable[[_Mask], _Mask]:
    """Register a subclass of :class:`Mask` as a method of :func:`sparsify`.

    The documentation of :class:`Mask` has an example.

    Args:
        name (str): Name of the method.

    Raises:
        ValueError: If there is a method of this name already.
    """
    if name in METHODS:
        raise ValueError(f"method {name!r} is registered already; choose another name")

    def register(mask: _Mask) -> _Mask:
        METHODS[name] = mask
        return mask

    return register


__all__ = [
    "METHODS",
    "DynamicMask",
    "FeedbackMask",
    "MagnitudeMask",
    "RandomMask",
    "RigLMask",
    "SETMask",
    "ScoreMask",
    "register_method",
]
