"""Evaluation of finished runs: metrics, robustness, streams, fusion, subsets of experts, masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyg_stgcn.lazy import import_on_first_use

if TYPE_CHECKING:
    from pyg_stgcn.evaluation.fusion import fuse_runs
    from pyg_stgcn.evaluation.robustness import evaluate_robustness
    from pyg_stgcn.evaluation.run_evaluation import evaluate_run
    from pyg_stgcn.evaluation.run_recognizer import open_engine, open_recognizer
    from pyg_stgcn.evaluation.stream_evaluation import StreamOptions, evaluate_stream
    from pyg_stgcn.evaluation.subsets import evaluate_assembly

__all__ = [
    "StreamOptions",
    "evaluate_assembly",
    "evaluate_robustness",
    "evaluate_run",
    "evaluate_stream",
    "fuse_runs",
    "open_engine",
    "open_recognizer",
]

# Models of the engine are opened without torch.
__getattr__ = import_on_first_use(
    __name__,
    {
        "StreamOptions": "pyg_stgcn.evaluation.stream_evaluation",
        "evaluate_assembly": "pyg_stgcn.evaluation.subsets",
        "evaluate_robustness": "pyg_stgcn.evaluation.robustness",
        "evaluate_run": "pyg_stgcn.evaluation.run_evaluation",
        "evaluate_stream": "pyg_stgcn.evaluation.stream_evaluation",
        "fuse_runs": "pyg_stgcn.evaluation.fusion",
        "open_engine": "pyg_stgcn.evaluation.run_recognizer",
        "open_recognizer": "pyg_stgcn.evaluation.run_recognizer",
    },
)
