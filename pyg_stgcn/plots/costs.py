"""Figures of cost: times of backends, and multiply-accumulates of layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import bar_style, legend_beside
from pyg_stgcn.text import label

Row = Mapping[str, Any]

#: Most panels beside each other.
_COLUMNS = 3


def plot_bench(files: Files, rows: Sequence[Row]) -> None:
    """Plot the time of each backend, one panel a setting, from the first to the last decile.

    Args:
        files: The figure.
        rows: ``backend``, ``threads``, ``clips``, ``persons``, ``frames``, ``milliseconds``,
            ``fastest``, ``slowest`` and ``ratio`` of each measurement.
    """
    settings = list(dict.fromkeys((row["threads"], row["clips"], row["persons"]) for row in rows))
    backends = list(dict.fromkeys(row["backend"] for row in rows))
    columns = min(_COLUMNS, math.ceil(math.sqrt(len(settings))))
    lines = -(-len(settings) // columns)
    wide, high = 1.8 + 3.4 * columns, 0.8 + lines * (0.9 + 0.35 * len(backends))
    title = (
        f"time of a forward pass, {rows[0]['frames']} frames\n"
        "medians, first to last decile, and speed-up over the first backend"
    )
    with new_figure(files, wide, high, title) as figure:
        grid: Any = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[len(settings) :]:
            axes.set_axis_off()
        for axes, setting in zip(grid.flat, settings, strict=False):
            threads, clips, persons = setting
            own = [r for r in rows if (r["threads"], r["clips"], r["persons"]) == setting]
            _draw_times(axes, own, backends)
            axes.set_title(
                f"{clips} clip{'s' * (clips > 1)} of {persons} person{'s' * (persons > 1)}, "
                f"{threads} thread{'s' * (threads > 1)}",
                fontsize="small",
            )


def _draw_times(axes: Axes, rows: Sequence[Row], backends: Sequence[str]) -> None:
    for row in rows:
        middle = row["milliseconds"]
        error = np.clip([[middle - row["fastest"]], [row["slowest"] - middle]], 0, None)
        place = backends.index(row["backend"])
        bars = axes.barh(place, middle, xerr=error, capsize=3, **bar_style(place))
        text = f"{middle:.3g} ms, {row['ratio']:.1f}x"
        axes.bar_label(bars, [text], fontsize="x-small", padding=4)
    axes.set_yticks(range(len(backends)), backends)
    axes.set(xlabel="milliseconds", ylabel="backend", ylim=(len(backends) - 0.4, -0.6))
    # Room for the texts at the ends of the bars.
    axes.set_xlim(0, 1.6 * max(row["slowest"] for row in rows))
    axes.grid(visible=False, axis="y")


def plot_costs(files: Files, layers: Sequence[Row], title: str) -> None:
    """Plot the multiply-accumulates and the parameters of each layer.

    Args:
        files: The figure.
        layers: ``name``, ``params``, ``macs`` and ``effective_macs`` of each.
        title: Above the figure.
    """
    names = [label(layer["name"]) for layer in layers]
    rows = np.arange(len(names))
    with new_figure(files, 11, 0.17 * len(names) + 1.6, title) as figure:
        macs, params = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        macs.barh(rows, [layer["macs"] / 1e6 for layer in layers], 0.85, color="0.8", label="dense")
        effective = [layer["effective_macs"] / 1e6 for layer in layers]
        macs.barh(rows, effective, 0.45, label="effective", **bar_style(0))
        params.barh(rows, [layer["params"] / 1e3 for layer in layers], 0.85, **bar_style(0))
        macs.set_yticks(rows, names, fontsize="x-small")
        macs.set(xlabel="multiply-accumulates (million)", ylabel="layer")
        macs.set_ylim(len(names) - 0.5, -0.5)
        params.set_xlabel("parameters (thousand)")
        for axes in (macs, params):
            axes.grid(visible=False, axis="y")
        legend_beside(macs)
