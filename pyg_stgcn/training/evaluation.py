"""Judging a trained model: probabilities averaged over clips, accuracies, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.training.config import TrainConfig
from pyg_stgcn.training.data import clip_transform, make_loader, open_dataset, split_held_out
from pyg_stgcn.training.files import write_json, write_table
from pyg_stgcn.training.metrics import classification_metrics, confusion
from pyg_stgcn.training.plots import plot_confusion
from pyg_stgcn.training.predictions import Predictions
from pyg_stgcn.training.rundir import DIVERGED, Run, sparsity_facts

_BATCH_SIZE = 64


def clip_probabilities(model: nn.Module, batch: Batch, num_clips: int) -> torch.Tensor:
    """Class probabilities, averaged over the clips of each sample.

    Args:
        model: Maps a batch to logits.
        batch: ``x`` is ``[P*V, num_clips*T, C]``, the clips one after the other.
        num_clips: Clips of each sample.

    Shapes:
        - **output:** ``[N, num_classes]``
    """
    clips = batch.x.chunk(num_clips, dim=1)
    probabilities = []
    for clip in clips:
        batch.x = clip.contiguous()
        probabilities.append(model(batch).softmax(dim=-1))
    return torch.stack(probabilities).mean(dim=0)


def predict(
    run: Run,
    model: nn.Module,
    *,
    num_clips: int,
    device: torch.device | str = "cpu",
    root: str | None = None,
) -> Predictions:
    """Judge the validation clips, and the held-out training clips where the run has any.

    Both are kept in the run's folder, for :func:`~pyg_stgcn.training.fusion.fuse_runs`.

    Args:
        run: Names the data and how they are prepared.
        model: In evaluation mode; moved to ``device``.
        num_clips: Clips drawn from each sample.
        device: Where to compute.
        root: Folder of the datasets, if it is no longer the one of the run.

    Returns:
        Of the validation clips.

    Raises:
        InputError: The data are not there, or are not those of the run.
    """
    config = _config(run, root)
    dataset = open_validation(run, root)
    if config.hold_out:
        _, held_out = split_held_out(open_dataset(config, "train"), config.hold_out)
        held_out_predictions = judge(model, held_out, config, num_clips=num_clips, device=device)
        held_out_predictions.save(run.held_out_predictions)
    predictions = judge(model, dataset, config, num_clips=num_clips, device=device)
    predictions.save(run.predictions)
    return predictions


def open_validation(run: Run, root: str | None = None) -> SkeletonDataset:
    """The validation clips of a run.

    Args:
        run: Names the data.
        root: Folder of the datasets, if it is no longer the one of the run.

    Raises:
        InputError: The data are not there, or are not those of the run.
    """
    config = _config(run, root)
    dataset = open_dataset(config, "val")
    if dataset.skeleton != run.skeleton or dataset.num_classes != len(run.classes):
        raise InputError(
            f"{config.dataset}: {dataset.num_classes} classes on skeleton {dataset.skeleton.name}, "
            f"but {run.folder} was trained for {len(run.classes)} on {run.skeleton.name}; "
            "evaluate on the data the run was trained with"
        )
    return dataset


def _config(run: Run, root: str | None) -> TrainConfig:
    return run.config if root is None else replace(run.config, root=root)


def judge(
    model: nn.Module,
    dataset: SkeletonDataset,
    config: TrainConfig,
    *,
    num_clips: int,
    device: torch.device | str = "cpu",
    extra: Sequence[BaseTransform] = (),
) -> Predictions:
    """What a model says of some clips.

    Args:
        model: In evaluation mode; moved to ``device``.
        dataset: The clips; their transform is replaced.
        config: Of the model's run.
        num_clips: Clips drawn from each sample; their probabilities are averaged.
        device: Where to compute.
        extra: Steps after the normalisation, such as losses of frames.
    """
    dataset.transform = clip_transform(
        config, dataset, train=False, num_clips=num_clips, extra=extra
    )
    model = model.to(device)
    loader = make_loader(dataset, _BATCH_SIZE, config.seed, shuffle=False)
    parts = []
    with torch.inference_mode():
        for batch in loader:
            parts.append(clip_probabilities(model, batch.to(device), num_clips).float().cpu())
    probabilities = torch.cat(parts).numpy()
    wrong = ~np.isfinite(probabilities).reshape(len(dataset), -1).all(axis=1)
    if wrong.any():
        raise InputError(
            f"{wrong.sum()} of {len(dataset)} clips have probabilities that are not numbers, the "
            f"first is {dataset.names[int(wrong.argmax())]}: the model has diverged; {DIVERGED}"
        )
    return Predictions(np.array(dataset.names), dataset.labels, probabilities)


def evaluate_run(
    folder: str | Path,
    *,
    num_clips: int = 10,
    device: torch.device | str = "cpu",
    root: str | None = None,
    checkpoint: str | None = None,
) -> dict[str, Any]:
    """Evaluate a finished run and write ``evaluation.json``, ``predictions.npz``,
    ``confusion.csv`` and ``confusion.png``.

    Args:
        folder: The run directory.
        num_clips: Clips drawn from each sample; their probabilities are averaged.
        device: Where to compute.
        root: Folder of the datasets, if it is no longer the one of the run.
        checkpoint: ``"best"`` or ``"last"`` for the weights of that checkpoint, which a run has
            before it is finished; the names of the files say so (default: those of its end).

    Returns:
        ``top1``, ``top5``, ``mean_class``, ``clips``, ``samples``, ``benchmark``, what is left of
        the weights (:func:`~pyg_stgcn.training.rundir.sparsity_facts`) and the files.

    Raises:
        InputError: The folder holds no finished run, or its data are missing.
    """
    run = Run.open(folder, checkpoint)
    model = run.load_model()
    with run.masked(model):
        left = sparsity_facts(model, run)
    predictions = predict(run, model, num_clips=num_clips, device=device, root=root)
    probabilities, labels = predictions.probabilities, predictions.labels
    counts = confusion(probabilities, labels)
    table, picture = run.result("confusion.csv"), run.result("confusion.png")
    rows = [[name, *row] for name, row in zip(run.classes, counts.tolist(), strict=True)]
    write_table(table, ["true", *run.classes], rows)
    result = {
        "run": str(run.folder),
        "dataset": run.config.dataset,
        "benchmark": run.config.benchmark,
        **classification_metrics(probabilities, labels),
        "clips": num_clips,
        "samples": len(labels),
        **left,
        "confusion_csv": str(table),
        "confusion_png": str(picture),
    }
    write_json(run.result("evaluation.json"), result)
    plot_confusion(picture, counts, run.classes)
    return result
