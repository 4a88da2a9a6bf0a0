"""A run: its options, its folder, the pipeline of its data, and its predictions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_stgcn.runs.folder import Run
    from pyg_stgcn.runs.options import TrainOptions

__all__ = ["Run", "TrainOptions"]

_HOME_OF = {"Run": "pyg_stgcn.runs.folder", "TrainOptions": "pyg_stgcn.runs.options"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the options alone do not need torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
