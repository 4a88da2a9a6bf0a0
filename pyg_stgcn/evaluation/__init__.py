"""Evaluation of finished runs: metrics, robustness, fusion, subsets of experts, masks."""

from pyg_stgcn.evaluation.fusion import fuse_runs
from pyg_stgcn.evaluation.robustness import evaluate_robustness
from pyg_stgcn.evaluation.run_evaluation import evaluate_run
from pyg_stgcn.evaluation.run_recognizer import open_engine, open_recognizer
from pyg_stgcn.evaluation.subsets import evaluate_assembly

__all__ = [
    "evaluate_assembly",
    "evaluate_robustness",
    "evaluate_run",
    "fuse_runs",
    "open_engine",
    "open_recognizer",
]
