"""Figures of evaluations: confusion matrix, robustness and fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import REFERENCE, SEQUENTIAL, bar_style, legend_beside, line_style
from pyg_stgcn.text import label

#: With more classes, the counts in the cells would not be legible, or the names.
_COUNTED_CLASSES, _NAMED_CLASSES = 30, 130


def plot_confusion(files: Files, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Plot a confusion matrix; the colour is the fraction of the true class.

    Args:
        files: The figure.
        counts: ``[num_classes, num_classes]``, rows are the true classes.
        classes: Names, in label order.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.32 * len(classes) + 3, 6, 16))
    counted, named = (len(classes) <= most for most in (_COUNTED_CLASSES, _NAMED_CLASSES))
    title = "confusion matrix" + (", number of clips" if counted else "")
    with new_figure(files, side + 1.6, side, title) as figure:
        figure.set_layout_engine("compressed")  # For axes of equal sides.
        axes = figure.subplots()
        image = axes.imshow(fractions, cmap=SEQUENTIAL, vmin=0, vmax=1)
        axes.grid(visible=False)
        figure.colorbar(image, label="fraction of the true class", shrink=0.7)
        number = "" if named else " (number)"
        axes.set(xlabel=f"predicted class{number}", ylabel=f"true class{number}")
        if named:
            ticks, names = np.arange(len(classes)), [label(name) for name in classes]
            size = "small" if counted else "xx-small"
            axes.set_xticks(ticks, names, rotation=90, fontsize=size)
            axes.set_yticks(ticks, names, fontsize=size)
        if counted:
            _write_counts(axes, counts, fractions)


def _write_counts(axes: Axes, counts: NDArray[np.int64], fractions: NDArray[np.float64]) -> None:
    for true, predicted in zip(*np.nonzero(counts), strict=True):
        axes.text(
            predicted,
            true,
            str(counts[true, predicted]),
            ha="center",
            va="center",
            fontsize="x-small",
            color="white" if fractions[true, predicted] > 0.5 else "black",
        )


def plot_robustness(files: Files, rows: Sequence[Mapping[str, Any]]) -> None:
    """Plot accuracy over the fraction of dropped frames, one line a mode.

    Args:
        files: The figure.
        rows: ``dropped``, ``mode`` and ``top1`` of each case, the intact clips first.
    """
    intact, corrupted = rows[0], rows[1:]
    with new_figure(files, 7, 4.2, "robustness to dropped frames") as figure:
        axes = figure.subplots()
        axes.axhline(100 * intact["top1"], color=REFERENCE, linestyle=":", label="intact")
        for number, mode in enumerate(dict.fromkeys(row["mode"] for row in corrupted)):
            points = [intact, *(row for row in corrupted if row["mode"] == mode)]
            dropped, top1 = ([100 * row[name] for row in points] for name in ("dropped", "top1"))
            axes.plot(dropped, top1, label=mode, **line_style(number, len(points)))
        axes.set(ylim=(0, 102), xlabel="dropped frames (%)", ylabel="top-1 accuracy (%)")
        legend_beside(axes)


def plot_fusion(files: Files, runs: Sequence[Mapping[str, Any]], fused: float) -> None:
    """Plot the accuracy of every run, and of their fusion.

    Args:
        files: The figure.
        runs: ``stream``, ``model``, ``weight`` and ``top1`` of each.
        fused: Top-1 accuracy of the fusion.
    """
    names = [label(f"{run['model']}, {run['stream']}", most=80) for run in runs]
    labels = [f"{name}  ({run['weight']:g})" for name, run in zip(names, runs, strict=True)]
    labels.append("fused")
    values = [100 * run["top1"] for run in runs] + [100 * fused]
    wide = max(7.0, 4 + 0.09 * max(map(len, labels)))
    title = f"fusion of {len(runs)} runs"
    with new_figure(files, wide, 0.45 * len(runs) + 1.9, title) as figure:
        axes = figure.subplots()
        # By position: two labels may be equal.
        for row, value in enumerate(values):
            bars = axes.barh(row, value, **bar_style(int(row == len(runs))))
            axes.bar_label(bars, fmt="%.2f", padding=3, fontsize="small")
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, 112), xlabel="top-1 accuracy (%)", ylabel="run (weight)")
