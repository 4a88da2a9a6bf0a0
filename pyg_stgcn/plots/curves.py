"""The figure of the metrics of trainings, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import legend_beside, line_style, log_axis, whole_numbers
from pyg_stgcn.text import label

Rows = Sequence[Mapping[str, Any]]

#: Splits of the data, and the line of each.
_SPLITS = {"train": {"linestyle": ":", "markerfacecolor": "white"}, "val": {"linestyle": "-"}}


def plot_curves(files: Files, runs: Mapping[str, Rows]) -> None:
    """Plot loss, accuracy and sparsity over the epochs.

    Args:
        files: The figure.
        runs: Rows of ``metrics.csv`` of each run, by the run's label.
    """
    with new_figure(files, 12, 3.8, "training") as figure:
        loss, accuracy, sparsity = figure.subplots(1, 3)
        for number, (run, rows) in enumerate(runs.items()):
            prefix = f"{label(run)}, " if run else ""
            for split, line in _SPLITS.items():
                style = {**line_style(number, len(rows)), **line}
                _plot(loss, rows, f"{split}_loss", 1, **style)
                _plot(accuracy, rows, f"{split}_top1", 100, label=f"{prefix}{split}", **style)
            _plot(sparsity, rows, "sparsity", 100, **line_style(number, len(rows)))
        loss.set_ylabel("loss")
        log_axis(loss.yaxis)
        accuracy.set(ylabel="top-1 accuracy (%)", ylim=(0, 102))
        sparsity.set(ylabel="sparsity (%)", ylim=(-2, 102))
        for axes in (loss, accuracy, sparsity):
            axes.set_xlabel("epoch")
            whole_numbers(axes.xaxis)
        legend_beside(accuracy)


def _plot(axes: Axes, rows: Rows, name: str, scale: float, **style: Any) -> None:
    """Plot a metric, if any epoch has it."""
    points = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
    if points:
        epochs, values = np.array(points, float).T
        axes.plot(epochs, scale * values, **style)
