"""Late fusion: the averaged class probabilities of several runs on the same clips."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.model_selection import ParameterGrid, ParameterSampler

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.metrics import classification_metrics
from pyg_stgcn.plots.results import plot_fusion
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.matching import class_numbers
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.tables import write_json
from pyg_stgcn.text import count, joined

#: Candidate weights of every run in a search, and the largest number of combinations.
SEARCH_WEIGHTS = (0, 1, 2, 3, 4)
SEARCH_TRIALS = 2_000


def published_weights(streams: Sequence[str]) -> list[float]:
    """Weights of PYSKL: joint and bone count twice as much as motion.

    That is 1:1 for joint and bone, and 2:2:1:1 for the four streams.
    """
    return [1.0 if stream.endswith("motion") else 2.0 for stream in streams]


def fuse(
    probabilities: Sequence[NDArray[np.floating]], weights: Sequence[float]
) -> NDArray[np.float64]:
    """Weighted mean of class probabilities.

    Args:
        probabilities: Those of every run, ``[N, num_classes]``.
        weights: One for each run; they need not add up to one.

    Raises:
        InputError: The weights are too few, too many, negative or all zero.
    """
    if len(weights) != len(probabilities):
        raise InputError(
            f"weights {_text(weights)}: {count(len(weights), 'weight')} for {len(probabilities)} "
            "runs; give one for each"
        )
    if min(weights) < 0 or not 0 < sum(weights) < np.inf:
        raise InputError(
            f"weights {_text(weights)}: a mean needs weights of at least zero, and one above it"
        )
    return np.average(np.stack(probabilities).astype(np.float64), axis=0, weights=weights)


def search_weights(
    probabilities: Sequence[NDArray[np.floating]], labels: NDArray[np.integer]
) -> list[float]:
    """Weights with the highest accuracy on clips that no run was trained on.

    Among weights of the same accuracy, which are many if clips are few, those with the lowest
    cross-entropy win. (Cross-entropy alone would favour a single run: a mean of probabilities is
    less confident than each of them.) The same input gives the same weights.

    Args:
        probabilities: Those of every run, ``[N, num_classes]``.
        labels: Classes ``[N]``.
    """
    space = {f"{number:03}": list(SEARCH_WEIGHTS) for number in range(len(probabilities))}
    trials = min(SEARCH_TRIALS, len(ParameterGrid(space)))
    classes = np.arange(probabilities[0].shape[1])
    # The sums of single precision differ from one by more than log_loss tolerates.
    exact = [part / part.sum(axis=1, keepdims=True, dtype=np.float64) for part in probabilities]
    best, highest = [1.0] * len(probabilities), (-1.0, -np.inf)
    for choice in ParameterSampler(space, trials, random_state=0):
        weights = [float(choice[name]) for name in sorted(choice)]
        if sum(weights) == 0:
            continue
        fused = fuse(exact, weights)
        accuracy = float((fused.argmax(axis=1) == labels).mean())
        merit = (accuracy, -log_loss(labels, fused, labels=classes))
        if merit > highest:
            best, highest = weights, merit
    return best


def fuse_runs(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    weights: Sequence[float] | None = None,
    search: bool = False,
    figure: Path | None = None,
) -> dict[str, Any]:
    """Fuse finished runs and write ``fusion.json`` and ``fusion.png``.

    Args:
        folders: Run directories of the same data and benchmark.
        out: Folder of the result.
        weights: One per run (default: :func:`published_weights` of their streams).
        search: Choose the weights by :func:`search_weights` instead, on the training clips that
            all runs held out (option ``hold_out`` of the training).
        figure: Another file for the figure, such as a PDF.

    Returns:
        ``top1``, ``top5``, ``mean_class``, ``clips``, ``views``, ``chosen_by``, ``fusion_png`` and
        ``runs``, with the weight and accuracies of each.

    Raises:
        InputError: There are fewer than two runs, their clips or numbers of views differ, or
            predictions are missing.
    """
    if len(folders) < 2:
        raise InputError(f"{len(folders)} run to fuse; name at least two")
    runs = [Run.open(folder) for folder in folders]
    predictions = _matching(runs, [Predictions.load(run.predictions) for run in runs])
    weights, chosen_by = _choose_weights(runs, weights, search)
    labels = predictions[0].labels
    fused = fuse([one.probabilities for one in predictions], weights)
    rows = [
        {
            "run": str(run.folder),
            "model": run.config.architecture,
            "stream": run.config.data.stream,
            "weight": weight,
            **classification_metrics(one.probabilities, labels),
        }
        for run, weight, one in zip(runs, weights, predictions, strict=True)
    ]
    out = Path(out)
    accuracies = classification_metrics(fused, labels)
    result = {
        "dataset": runs[0].config.data.dataset,
        "benchmark": runs[0].config.data.benchmark,
        **accuracies,
        "clips": len(labels),
        "views": predictions[0].num_views,
        "chosen_by": chosen_by,
        "fusion_png": str(out / "fusion.png"),
        "runs": rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "fusion.json", result)
    plot_fusion((out / "fusion.png", figure), rows, accuracies["top1"])
    return result


def _choose_weights(
    runs: Sequence[Run], weights: Sequence[float] | None, search: bool
) -> tuple[Sequence[float], str]:
    """The weights of the runs, and the way they were chosen."""
    if search:
        return _search(runs), "search on held-out training clips"
    if weights is None:
        return published_weights([run.config.data.stream for run in runs]), "published"
    return weights, "given"


def _search(runs: Sequence[Run]) -> list[float]:
    for run in runs:
        if run.config.data.hold_out == 0:
            raise InputError(
                f"{run.folder}: was trained on all training clips, so none are held out for the "
                "search of weights (test clips must not choose them); train with hold_out=0.1"
            )
    held_out = _matching(runs, [Predictions.load(run.held_out_predictions) for run in runs])
    return search_weights([one.probabilities for one in held_out], held_out[0].labels)


def _matching(runs: Sequence[Run], predictions: list[Predictions]) -> list[Predictions]:
    predictions = [
        _in_order_of(runs[0], run, one) for run, one in zip(runs, predictions, strict=True)
    ]
    first = predictions[0]
    for run, one in zip(runs, predictions, strict=True):
        same = (
            first.probabilities.shape == one.probabilities.shape
            and np.array_equal(first.names, one.names)
            and np.array_equal(first.labels, one.labels)
        )
        if not same:
            raise InputError(
                f"{run.folder}: evaluated on other clips ({one.probabilities.shape[0]} of "
                f"{joined(run.config.data.dataset, run.config.data.benchmark)}) than "
                f"{runs[0].folder} "
                f"({first.probabilities.shape[0]} of "
                f"{joined(runs[0].config.data.dataset, runs[0].config.data.benchmark)}); "
                "fuse runs on the "
                "same data"
            )
    _check_views(runs, [one.num_views for one in predictions])
    return predictions


def _check_views(runs: Sequence[Run], views: Sequence[int]) -> None:
    """Refuse means over different numbers of views: they are not equally accurate."""
    if len(set(views)) == 1:
        return
    fewer = next(run for run, number in zip(runs, views, strict=True) if number < max(views))
    listed = ", ".join(f"{run.folder}: {number}" for run, number in zip(runs, views, strict=True))
    raise InputError(
        f"the runs were evaluated with different numbers of views ({listed}); evaluate them "
        f"with the same number, as by 'pyg-stgcn evaluate {shlex.quote(str(fewer.folder))} "
        f"--views {max(views)}'"
    )


def _in_order_of(first: Run, run: Run, predictions: Predictions) -> Predictions:
    """The predictions of a run, with its classes in the order of those of the first one."""
    count = len(first.classes)
    if run.classes == first.classes or not (
        len(run.classes) == predictions.probabilities.shape[1] == count
    ):
        return predictions
    numbers = np.array(class_numbers(run.classes, first.classes, run.folder, first.folder))
    probabilities = np.empty_like(predictions.probabilities)
    probabilities[:, numbers] = predictions.probabilities
    return replace(predictions, labels=numbers[predictions.labels], probabilities=probabilities)


def _text(weights: Sequence[float]) -> str:
    return " ".join(f"{weight:g}" for weight in weights)
