"""Training and judging runs, on top of pytorch-lightning."""

from pyg_stgcn.training.assembly import evaluate_assembly
from pyg_stgcn.training.config import TrainConfig
from pyg_stgcn.training.evaluation import evaluate_run
from pyg_stgcn.training.fusion import fuse_runs
from pyg_stgcn.training.recognizer import ActionRecognizer, TrainingDivergedError
from pyg_stgcn.training.robustness import evaluate_robustness
from pyg_stgcn.training.rundir import Run
from pyg_stgcn.training.runner import train
from pyg_stgcn.training.sparsity_callback import SparsityCallback

__all__ = [
    "ActionRecognizer",
    "Run",
    "SparsityCallback",
    "TrainConfig",
    "TrainingDivergedError",
    "evaluate_assembly",
    "evaluate_robustness",
    "evaluate_run",
    "fuse_runs",
    "train",
]
