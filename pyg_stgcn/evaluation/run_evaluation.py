"""Evaluation of a trained model: mean probabilities, accuracies and confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.evaluation_data import (
    EvaluationClips,
    EvaluationData,
    open_clips_for,
    open_part,
)
from pyg_stgcn.evaluation.metrics import classification_metrics, confusion
from pyg_stgcn.plots.results import plot_confusion
from pyg_stgcn.progress import with_progress
from pyg_stgcn.runs.batches import (
    batch_transform,
    clip_transform,
    input_batch,
    make_loader,
    split_held_out,
)
from pyg_stgcn.runs.folder import DIVERGED, Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.runs.run_sparsity import sparsity_summary
from pyg_stgcn.tables import write_csv, write_json, write_table
from pyg_stgcn.text import count

_BATCH_SIZE = 64


def mean_probabilities(model: nn.Module, batch: Batch, num_views: int) -> torch.Tensor:
    """Class probabilities, averaged over the views of each clip.

    Args:
        model: Maps ``x``, ``batch`` and ``batch_size`` to logits.
        batch: ``x`` is ``[P*V, num_views*T, C]``, the views one after the other.
        num_views: Views of each clip.

    Shapes:
        - **output:** ``[N, num_classes]``
    """
    probabilities = [
        model(view.contiguous(), batch.batch, batch.num_graphs).softmax(dim=-1)
        for view in batch.x.chunk(num_views, dim=1)
    ]
    return torch.stack(probabilities).mean(dim=0)


def predict(
    run: Run,
    model: nn.Module,
    *,
    num_views: int,
    device: torch.device | str = "cpu",
    clips: EvaluationClips | None = None,
) -> Predictions:
    """Evaluate a model on the validation clips, and on the held-out training clips of its run.

    The predictions are written into the run, for :func:`~pyg_stgcn.evaluation.fusion.fuse_runs`;
    those of other clips get another name.

    Args:
        run: Defines the data and their preparation.
        model: In evaluation mode; moved to ``device``.
        num_views: Views drawn from each clip.
        device: Where to compute.
        clips: Other clips than the validation clips.

    Returns:
        Predictions of the validation clips, or of ``clips``.

    Raises:
        InputError: The data are missing, or are not those of the run.
    """
    clips = clips or open_clips_for(run)
    if run.config.data.hold_out and not clips.ending:
        train = open_part(run, clips.config, "train")
        _, held_out = split_held_out(train, run.config.data.hold_out)
        held_out_predictions = evaluate_model(
            model, held_out, clips.config, num_views=num_views, device=device
        )
        held_out_predictions.save(run.held_out_predictions)
    predictions = evaluate_model(
        model, clips.dataset, clips.config, num_views=num_views, device=device
    )
    predictions.save(clips.files.predictions)
    return predictions


def open_validation(run: Run) -> SkeletonDataset:
    """The validation clips of a run.

    Raises:
        InputError: The data are missing, or are not those of the run.
    """
    return open_clips_for(run).dataset


def evaluate_model(
    model: nn.Module,
    dataset: SkeletonDataset,
    config: TrainOptions,
    *,
    num_views: int,
    device: torch.device | str = "cpu",
    extra: Sequence[BaseTransform] = (),
    description: str = "evaluating",
) -> Predictions:
    """Evaluate a model on some clips.

    Args:
        model: In evaluation mode; moved to ``device``.
        dataset: The clips; their transform is replaced.
        config: Configuration of the model's run.
        num_views: Views drawn from each clip; their probabilities are averaged.
        device: Where to compute.
        extra: Steps after the normalisation, such as corruptions.
        description: Text of its progress.
    """
    dataset.transform = clip_transform(
        config, dataset, train=False, num_views=num_views, extra=extra
    )
    model = model.to(device)
    transform = batch_transform(config, dataset)
    loader = make_loader(
        dataset, _BATCH_SIZE, config.optim.seed, shuffle=False, transform=transform
    )
    parts = []
    with torch.inference_mode():
        for batch in with_progress(
            loader, f"{description}, {count(num_views, 'view')} of each clip, batches"
        ):
            batch = input_batch(batch, transform, device)
            parts.append(mean_probabilities(model, batch, num_views).float().cpu())
    probabilities = torch.cat(parts).numpy()
    invalid = ~np.isfinite(probabilities).reshape(len(dataset), -1).all(axis=1)
    if invalid.any():
        raise InputError(
            f"{invalid.sum()} of {len(dataset)} clips have probabilities that are not numbers, the "
            f"first is {dataset.names[int(invalid.argmax())]}: the model has diverged; {DIVERGED}"
        )
    return Predictions(np.array(dataset.names), dataset.labels, probabilities, num_views)


def evaluate_run(
    folder: str | Path,
    *,
    num_views: int = 10,
    device: torch.device | str = "cpu",
    data: EvaluationData | None = None,
    checkpoint: str | None = None,
    figure: Path | None = None,
) -> dict[str, Any]:
    """Evaluate a finished run and write ``evaluation.json``, ``predictions.npz``,
    ``confusion.csv`` and ``confusion.png``.

    For other clips than the run's validation clips, the names of the files end in the names of the
    data and their split, as in ``evaluation-mine-test.json``, and a table lists the predicted
    classes (``predictions-mine-test.csv``). Clips without a label appear only in this table and in
    the predictions.

    Args:
        folder: The run directory.
        num_views: Views drawn from each clip; their probabilities are averaged.
        device: Where to compute.
        data: The clips (default: the validation clips of the run).
        checkpoint: ``"best"`` or ``"last"`` for the weights of that checkpoint, also of an
            unfinished run; the names of the files contain it (default: the final weights).
        figure: Another file for the figure, such as a PDF.

    Returns:
        ``top1``, ``top5``, ``mean_class``, ``views``, ``clips``, ``unlabelled`` (the number of
        clips without a label), ``dataset``, ``benchmark``, ``split``, the counts of
        :func:`~pyg_stgcn.runs.run_sparsity.sparsity_summary` and the paths of the files. If no clip
        has a label, there are no accuracies and no confusion matrix.

    Raises:
        InputError: The folder holds no finished run, or the data are missing or do not fit it.
    """
    run = Run.open(folder, checkpoint)
    model = run.load_model()
    kept = sparsity_summary(model, run, run.load_masks(model))
    clips = open_clips_for(run, data)
    if figure is not None and not (clips.dataset.labels >= 0).any():
        raise InputError(
            f"figure {figure}: no clip has a label, so there is no confusion matrix; leave it out"
        )
    predictions = predict(run, model, num_views=num_views, device=device, clips=clips)
    labelled = predictions.labels >= 0
    result: dict[str, Any] = {
        "run": str(run.folder),
        "dataset": clips.config.data.dataset,
        "benchmark": clips.config.data.benchmark,
        "split": clips.split,
        **(_accuracies(clips, predictions) if labelled.any() else {}),
        "views": num_views,
        "clips": len(labelled),
        "unlabelled": int((~labelled).sum()),
        **kept,
    }
    if clips.ending:
        result["predictions_csv"] = str(_write_predictions(clips, predictions))
    file = clips.files.evaluation
    result["evaluation_json"] = str(file)
    write_json(file, result)
    if labelled.any():
        counts = confusion(predictions.probabilities[labelled], predictions.labels[labelled])
        plot_confusion((clips.files.confusion("png"), figure), counts, run.classes)
    return result


def _accuracies(clips: EvaluationClips, predictions: Predictions) -> dict[str, Any]:
    """Accuracies on the labelled clips, and the files of their confusion matrix."""
    run = clips.run
    labelled = predictions.labels >= 0
    probabilities, labels = predictions.probabilities[labelled], predictions.labels[labelled]
    counts = confusion(probabilities, labels)
    table, figure = clips.files.confusion("csv"), clips.files.confusion("png")
    rows = [[name, *row] for name, row in zip(run.classes, counts.tolist(), strict=True)]
    write_table(table, ["true", *run.classes], rows)
    return {
        **classification_metrics(probabilities, labels),
        "confusion_csv": str(table),
        "confusion_png": str(figure),
    }


def _write_predictions(clips: EvaluationClips, predictions: Predictions) -> Path:
    """Write the most probable class of every clip."""
    classes = clips.run.classes
    path = clips.files.predicted_classes
    rows = [
        {
            "name": name,
            "label": classes[label] if label >= 0 else None,
            "predicted": classes[probabilities.argmax()],
            "probability": f"{probabilities.max():.6f}",
        }
        for name, label, probabilities in zip(
            predictions.names.tolist(),
            predictions.labels.tolist(),
            predictions.probabilities,
            strict=True,
        )
    ]
    write_csv(path, ("name", "label", "predicted", "probability"), rows)
    return path
