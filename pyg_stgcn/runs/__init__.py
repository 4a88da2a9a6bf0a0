"""A run: its options, its folder, the pipeline of its data, and its predictions."""

from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainConfig

__all__ = ["Run", "TrainConfig"]
