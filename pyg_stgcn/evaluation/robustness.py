"""Robustness: evaluation of a trained model on clips with dropped frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.evaluation_data import EvaluationClips, EvaluationData, open_clips_for
from pyg_stgcn.evaluation.metrics import classification_metrics
from pyg_stgcn.evaluation.run_evaluation import evaluate_model
from pyg_stgcn.plots.results import plot_robustness
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.run_sparsity import sparsity_summary
from pyg_stgcn.tables import write_csv, write_json
from pyg_stgcn.transforms import MODES, SEVERITIES, Interpolate, TemporalCorruption

#: Seed of the corruption: the same frames are dropped for all runs.
SEED = 0
REPAIRS = {"interpolate": Interpolate}
COLUMNS = ("dropped", "mode", "top1", "top5", "mean_class")


def evaluate_robustness(
    folder: str | Path,
    corruption: str | float = "all",
    *,
    mode: str = "random",
    repair: str | None = None,
    num_views: int = 10,
    device: torch.device | str = "cpu",
    data: EvaluationData | None = None,
    checkpoint: str | None = None,
    figure: Path | None = None,
) -> dict[str, Any]:
    """Evaluate a finished run on its validation clips, intact and with dropped frames.

    Writes ``robustness.json``, ``.csv`` and ``.png``. The names contain everything that is not the
    default: a single corruption, as in ``robustness-0.75-block.json``, the repair, as in
    ``robustness-interpolate.json``, and other data, as in ``robustness-mine-test.json``. Clips
    without a label are ignored.

    Args:
        folder: The run directory.
        corruption: ``"all"`` severities with all modes; or one severity or fraction of the frames,
            see :class:`~pyg_stgcn.transforms.TemporalCorruption`. Zero drops nothing.
        mode: Choice of the frames of a single corruption.
        repair: ``"interpolate"`` for :class:`~pyg_stgcn.transforms.Interpolate` on all clips:
            intact ones may lack joints that the sensor did not see.
        num_views: Views drawn from each clip; their probabilities are averaged.
        device: Where to compute.
        data: The clips (default: the validation clips of the run).
        checkpoint: ``"best"`` or ``"last"`` for the weights of that checkpoint, also of an
            unfinished run; the names of the files contain it (default: the final weights).
        figure: Another file for the figure, such as a PDF.

    Returns:
        ``rows``, one of the intact clips and one of each corruption, with ``dropped`` (the fraction
        of dropped frames), ``mode``, ``top1``, ``top5`` and ``mean_class``; ``dataset``,
        ``benchmark``, ``stream``, ``repair``, ``views``, ``clips``, ``seed``, the counts of
        :func:`~pyg_stgcn.runs.run_sparsity.sparsity_summary` and the paths of the files.

    Raises:
        InputError: The corruption or repair is unknown, the folder holds no finished run, or the
            data are missing or do not fit it.
    """
    name, corruptions = _corruptions(corruption, mode)
    repairs = _repairs(repair)
    name += "" if repair is None else f"-{repair}"
    run = Run.open(folder, checkpoint)
    model, clips = run.load_model(), open_clips_for(run, data).labelled()
    counts = sparsity_summary(model, run, run.load_masks(model))
    rows = []
    for number, step in enumerate([None, *corruptions], start=1):
        extra = repairs if step is None else [step, *repairs]
        predictions = evaluate_model(
            model,
            clips.dataset,
            clips.config,
            num_views=num_views,
            device=device,
            extra=extra,
            description=f"corruption {number} of {1 + len(corruptions)}",
        )
        row: dict[str, Any] = {"dropped": 0.0, "mode": None}
        row |= {} if step is None else {"dropped": step.ratio, "mode": step.mode}
        rows.append(row | classification_metrics(predictions.probabilities, predictions.labels))
    settings = {"repair": repair, "views": num_views, "clips": len(clips.dataset), "seed": SEED}
    return _write(clips, name, rows, settings | counts, figure)


def _repairs(repair: str | None) -> list[BaseTransform]:
    if repair is None:
        return []
    if repair not in REPAIRS:
        raise InputError(f"repair {repair!r}: choose from {', '.join(REPAIRS)}")
    return [REPAIRS[repair]()]


def _corruptions(corruption: str | float, mode: str) -> tuple[str, list[TemporalCorruption]]:
    """The corruptions, and their part of the names of the files."""
    if corruption == "all":
        return "", [
            TemporalCorruption(severity, mode, SEED) for mode in MODES for severity in SEVERITIES
        ]
    step = TemporalCorruption(corruption, mode, SEED)
    return f"-{step.ratio:g}-{mode}", [step] if step.ratio else []


def _write(
    clips: EvaluationClips,
    name: str,
    rows: Sequence[dict[str, Any]],
    settings: dict[str, Any],
    figure: Path | None,
) -> dict[str, Any]:
    table, drawing, record = (clips.files.robustness(name, kind) for kind in ("csv", "png", "json"))
    write_csv(table, COLUMNS, rows)
    result = {
        "run": str(clips.run.folder),
        "dataset": clips.config.data.dataset,
        "benchmark": clips.config.data.benchmark,
        "split": clips.split,
        "stream": clips.config.data.stream,
        **settings,
        "rows": rows,
        "robustness_csv": str(table),
        "robustness_png": str(drawing),
    }
    write_json(record, result)
    plot_robustness((drawing, figure), rows)
    return result
