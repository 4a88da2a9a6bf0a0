"""The figure of a dataset: lengths of the clips, classes, and missing joints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import bar_style, whole_numbers
from pyg_stgcn.text import label

#: Above this many classes their names would make the figure too tall.
_LEGIBLE_CLASSES = 130


def plot_dataset(
    files: Files,
    lengths: Mapping[tuple[int, int], int],
    classes: Mapping[str, int],
    missing: Mapping[str, float],
    title: str,
) -> None:
    """Plot the numbers of clips by length and by class, and how often each joint is missing.

    Args:
        files: The figure.
        lengths: Clips in each range of frames, by the shortest and the longest length.
        classes: Clips of each class, by name.
        missing: Fraction of the frames in which a joint is missing, by its name.
        title: Above the figure.
    """
    most = max(len(missing), min(len(classes), _LEGIBLE_CLASSES))
    with new_figure(files, 12, max(4.0, 0.17 * most + 1.2), title) as figure:
        left, middle, right = figure.subplots(1, 3)
        names = [f"{low} to {high}" for low, high in lengths]
        _draw_bars(left, names, list(lengths.values()), "length (frames)", "clips")
        shown = [label(name) for name in classes]
        _draw_bars(middle, shown, list(classes.values()), "class", "clips")
        if len(classes) > _LEGIBLE_CLASSES:
            middle.set_yticks([])
        joints = [label(name) for name in missing]
        percents = [100 * fraction for fraction in missing.values()]
        _draw_bars(right, joints, percents, "joint", "missing (% of the frames with the person)")
        for axes in (left, middle):
            whole_numbers(axes.xaxis)
        right.set_xlim(0, max(1.0, 1.05 * max(percents)))


def _draw_bars(axes: Axes, names: list[str], values: list[Any], kind: str, what: str) -> None:
    rows = np.arange(len(names))
    axes.barh(rows, values, **bar_style(0))
    axes.set_yticks(rows, names, fontsize="x-small")
    axes.set(xlabel=what, ylabel=kind, ylim=(len(names) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
