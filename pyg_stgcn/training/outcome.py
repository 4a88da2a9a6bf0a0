"""The outcome of a training: plain weights, their evaluation and the summary of the run."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from pyg_stgcn.evaluation.metrics import classification_metrics
from pyg_stgcn.evaluation.run_evaluation import predict
from pyg_stgcn.evaluation.subsets import assembly_summary, evaluate_subsets
from pyg_stgcn.models import Assembly
from pyg_stgcn.plots.curves import plot_curves
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.run_sparsity import sparsity_summary
from pyg_stgcn.sparsity import ControllerGroup, SparsityController
from pyg_stgcn.tables import write_json
from pyg_stgcn.training.callbacks import EpochTable
from pyg_stgcn.training.stream_window import StreamWindow
from pyg_stgcn.training.temperature import calibrate

logger = logging.getLogger(__name__)


def fold_masks(
    run: Run, model: nn.Module, controller: SparsityController | ControllerGroup | None
) -> dict[str, int | float]:
    """Fold the masks of a trained model into its weights; return the numbers of kept weights."""
    if controller is None:
        return sparsity_summary(model, run)
    controller.apply_pending_update()
    run.save_masks(model)
    # Before the masks are folded: kept weights may be zero too.
    counts = sparsity_summary(model, run)
    for line in controller.sparsity_gaps():
        logger.warning("%s", line)
    controller.finalize()
    return counts


def finish_run(
    run: Run,
    model: nn.Module,
    counts: dict[str, int | float],
    table: EpochTable,
    device: torch.device,
    window: StreamWindow | None = None,
) -> dict[str, Any]:
    """Evaluate a trained model, and write its weights and the summary of its run.

    Args:
        run: The run.
        model: Trained, without masks.
        counts: As from :func:`fold_masks`.
        table: Metrics of all epochs.
        device: Device for the evaluation.
        window: Computes the logits of windows, of a training on a stream.

    Returns:
        The content of the summary.

    Raises:
        InputError: The weights or the class probabilities are not finite.
    """
    config = run.config
    # Weights are stored and evaluated in single precision, whatever the training used.
    model.float()
    # Before the weights are written: a model that predicts NaN is no result.
    predictions = predict(run, model.eval(), num_views=config.optim.eval_views, device=device)
    sparse = bool(
        config.sparsity.sparsity
        or config.sparsity.edge_sparsity
        or config.sparsity.ticket
        or any(config.model.levels)
    )
    run.save_weights(model, sparse=sparse)
    temperature = calibrate(run, model, device, window)
    validated = [row for row in table.rows if "val_top1" in row]
    result = {
        "dataset": config.data.dataset,
        "benchmark": config.data.benchmark,
        "model": config.architecture,
        "stream": config.data.stream,
        **classification_metrics(predictions.probabilities, predictions.labels),
        "views": config.optim.eval_views,
        "val_top1_last": validated[-1]["val_top1"],
        "val_top1_best": max(row["val_top1"] for row in validated),
        **counts,
        **temperature,
        "epochs": config.optim.epochs,
        "seconds": round(sum(row["seconds"] for row in table.rows), 1),
        "seed": config.optim.seed,
    }
    if isinstance(model, Assembly):
        assembly = assembly_summary(run, model, run.load_masks(model))
        result["assembly"] = assembly
        evaluate_subsets(run, model, assembly, num_views=config.optim.eval_views, device=device)
    write_json(run.summary, result)
    plot_curves(run.curves, {"": table.rows})
    return result
