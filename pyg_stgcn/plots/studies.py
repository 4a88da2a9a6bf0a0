"""Figures of studies: sweeps, lotteries and assemblies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import REFERENCE, legend_beside, line_style, log_axis
from pyg_stgcn.text import label

Row = Mapping[str, Any]

#: Most ticks of the axis of the kept weights.
_MOST_TICKS = 12
#: Distance of neighbouring methods at one sparsity, so that their error bars are apart: a part of
#: the width of the axis.
_APART = 0.008
_CONTROL_LINES = ("--", ":", "-.")
_CONTROL_MARKERS = "sDv^P"


def plot_sweep(files: Files, rows: Sequence[Row], title: str) -> None:
    """Plot accuracy over the kept weights, one line a method, and that of the dense network.

    Points with a deviation have error bars, and the dense network a band.

    Args:
        files: The figure.
        rows: ``method``, ``sparsity``, ``top1`` and ``top1_deviation`` of each point.
        title: Above the figure.
    """
    spreads = any(row["top1_deviation"] is not None for row in rows)
    title += "\nerror bars and band: one standard deviation over the seeds" if spreads else ""
    methods = [name for name in dict.fromkeys(row["method"] for row in rows) if name != "dense"]
    with new_figure(files, 8, 4.4, title) as figure:
        axes = figure.subplots()
        for row in rows:
            if row["method"] == "dense":
                _draw_level(axes, "dense", row, "--")
        densities = {100 * (1 - row["sparsity"]) for row in rows if row["method"] != "dense"}
        densities -= {0.0}  # A logarithmic axis has no zero.
        width = max(densities, default=1) / min(densities, default=1)
        for number, method in enumerate(methods):
            points = [row for row in rows if row["method"] == method]
            kept = np.array([100 * (1 - row["sparsity"]) for row in points])
            spread = np.array([_spread(row) for row in points])
            beside = _APART * (number - (len(methods) - 1) / 2)
            axes.errorbar(
                kept / width**beside,
                [100 * row["top1"] for row in points],
                spread if np.isfinite(spread).any() else None,
                capsize=3,
                label=label(method),
                **line_style(number, len(points)),
            )
        axes.set(xscale="log", xlabel="kept maskable weights (%)", ylabel="top-1 accuracy (%)")
        ticks = sorted(densities)[:: -(-len(densities) // _MOST_TICKS) or 1]
        axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        axes.minorticks_off()
        axes.invert_xaxis()
        legend_beside(axes)


def _spread(row: Row) -> float:
    """Half the length of an error bar in percentage points; NaN draws none."""
    deviation = row["top1_deviation"]
    return np.nan if deviation is None else 100 * float(deviation)


def _draw_level(axes: Axes, name: str, row: Row, line: str) -> None:
    """Draw the accuracy of a dense network as a line, and its deviation as a band."""
    value, spread = 100 * row["top1"], _spread(row)
    axes.axhline(value, color=REFERENCE, linestyle=line, label=label(name))
    if np.isfinite(spread):
        axes.axhspan(value - spread, value + spread, color="0.93", zorder=0)


def plot_subsets(files: Files, rows: Sequence[Row], controls: Mapping[str, Row]) -> None:
    """Plot accuracy over the kept weights, one point a subset of an assembly's experts.

    Args:
        files: The figure.
        rows: ``experts``, ``head``, ``kept`` and ``top1`` of each point; a star marks the subset
            of all experts.
        controls: ``kept``, ``top1`` and ``top1_deviation`` of each control, by name. Dense ones
            are lines.
    """
    spreads = any(control["top1_deviation"] is not None for control in controls.values())
    title = "assembly: subsets of its experts"
    title += "\nerror bars and bands: one standard deviation over the seeds" if spreads else ""
    with new_figure(files, 9, 5, title) as figure:
        axes = figure.subplots()
        sizes = sorted({len(row["experts"]) for row in rows})
        for size in sizes:
            points = [r for r in rows if len(r["experts"]) == size and r["head"] == "shared"]
            name = f"{size} expert{'s' if size > 1 else ''}" if size < sizes[-1] else "assembly"
            style = {**line_style(size - 1), "linestyle": ""}
            if size == sizes[-1]:
                style |= {"marker": "*", "markersize": 12}
            else:
                _name_points(axes, points, size)
            _draw_points(axes, points, label=name, zorder=3, **style)
        own = [row for row in rows if row["head"] == "own"]
        _draw_points(axes, own, label="1 expert, own classifier", **_cross())
        _draw_controls(axes, controls)
        axes.set(
            xlabel="kept weights (% of the maskable weights of one dense expert)",
            ylabel="top-1 accuracy (%)",
        )
        axes.margins(x=0.15, y=0.1)
        log_axis(axes.xaxis)
        legend_beside(axes)


def _cross() -> dict[str, Any]:
    return {"marker": "x", "linestyle": "", "color": line_style(0)["color"]}


def _draw_points(axes: Axes, rows: Sequence[Row], **style: Any) -> None:
    if rows:
        axes.plot(*([100 * row[name] for row in rows] for name in ("kept", "top1")), **style)


def _name_points(axes: Axes, rows: Sequence[Row], size: int) -> None:
    """Write the experts of each subset at its point.

    An expert of few weights hardly moves a point, so names are slanted, and those of each size
    lead into a corner of their own.
    """
    above, right = size % 2 == 1, size % 4 in (1, 2)
    for row in rows:
        axes.annotate(
            "+".join(map(str, row["experts"])),
            (100 * row["kept"], 100 * row["top1"]),
            xytext=(4 if right else -4, 4 if above else -4),
            va="center",
            ha="left" if right else "right",
            textcoords="offset points",
            rotation=45 if above == right else -45,
            rotation_mode="anchor",
            fontsize="x-small",
        )


def _draw_controls(axes: Axes, controls: Mapping[str, Row]) -> None:
    for number, (name, control) in enumerate(controls.items()):
        if name.startswith("dense"):
            _draw_level(axes, name, control, _CONTROL_LINES[number % len(_CONTROL_LINES)])
            continue
        axes.errorbar(
            100 * control["kept"],
            100 * control["top1"],
            None if control["top1_deviation"] is None else _spread(control),
            fmt=_CONTROL_MARKERS[number % len(_CONTROL_MARKERS)],
            markerfacecolor="none",
            markersize=7,
            capsize=3,
            color=REFERENCE,
            label=label(name),
        )
