"""A run: its options, its folder, the pipeline of its data, and its predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyg_stgcn.lazy import import_on_first_use

if TYPE_CHECKING:
    from pyg_stgcn.runs.folder import Run
    from pyg_stgcn.runs.options import TrainOptions

__all__ = ["Run", "TrainOptions"]

# The options alone do not need torch.
__getattr__ = import_on_first_use(
    __name__, {"Run": "pyg_stgcn.runs.folder", "TrainOptions": "pyg_stgcn.runs.options"}
)
