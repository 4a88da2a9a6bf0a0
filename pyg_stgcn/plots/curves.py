"""Figures of runs: training curves, sweeps, assemblies, fusion, robustness, backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator
from numpy.typing import NDArray

from pyg_stgcn.plots.saving import save
from pyg_stgcn.text import label

#: With more classes, names and counts would not be legible.
_LEGIBLE_CLASSES = 30
#: Of the controls of an assembly, in turn; dark enough on white.
_CONTROL_GREYS = ("0.2", "0.4", "0.6", "0.75")
_CONTROL_LINES = ("--", ":", "-.")
#: Most ticks of the sparsity axis of a sweep.
_SWEEP_TICKS = 12


def _series(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    points = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


class _PlainFormatter(LogFormatter):
    """Numbers such as 0.7 at the ticks of a logarithmic axis, not 7 times a power of ten."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _plain_ticks(axes: Axes) -> None:
    formatter = _PlainFormatter()
    axes.yaxis.set_major_formatter(formatter)
    axes.yaxis.set_minor_formatter(formatter)


def plot_curves(path: Path, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Plot loss, accuracy and sparsity over the epochs.

    Args:
        path: The figure.
        runs: Rows of ``metrics.csv`` of each run, by the run's label.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, accuracy, sparsity = figure.subplots(1, 3)
    for number, (run, rows) in enumerate(runs.items()):
        prefix = f"{label(run)}, " if run else ""
        color = f"C{number}"
        for axes, metric, scale in ((loss, "loss", 1.0), (accuracy, "top1", 100.0)):
            for split, style in (("train", ":"), ("val", "-")):
                epochs, values = _series(rows, f"{split}_{metric}")
                axes.plot(
                    epochs,
                    np.multiply(values, scale),
                    style,
                    color=color,
                    label=f"{prefix}{split}",
                )
        epochs, values = _series(rows, "sparsity")
        sparsity.plot(epochs, np.multiply(values, 100), color=color)
    loss.set(title="loss", yscale="log")
    _plain_ticks(loss)
    accuracy.set(title="top-1 accuracy (%)", ylim=(0, 102))
    sparsity.set(title="sparsity (%)", ylim=(-2, 102))
    for axes in (loss, accuracy, sparsity):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
    accuracy.legend(fontsize="small")
    save(figure, path)


def plot_sweep(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Plot accuracy over the kept weights, one line a method, and that of the dense network.

    Args:
        path: The figure.
        rows: ``method``, ``sparsity``, ``top1`` and ``top1_deviation`` of each point.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    densities: set[float] = set()
    for number, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
        points = [row for row in rows if row["method"] == method]
        values = np.array([100 * row["top1"] for row in points])
        spread = np.array([100 * (row["top1_deviation"] or 0) for row in points])
        if method == "dense":
            axes.axhline(values[0], color="0.4", linestyle="--", label=method)
            axes.axhspan(values[0] - spread[0], values[0] + spread[0], color="0.9", zorder=0)
            continue
        kept = [100 * (1 - row["sparsity"]) for row in points]
        densities.update(kept)
        axes.plot(kept, values, "o-", color=f"C{number}", label=method)
        axes.fill_between(kept, values - spread, values + spread, color=f"C{number}", alpha=0.15)
    axes.set(
        xscale="log",
        xlabel="kept maskable weights (%)",
        ylabel="top-1 accuracy (%)",
    )
    axes.set_title("bands: one standard deviation over the seeds", fontsize="small")
    ticks = sorted(densities)[:: -(-len(densities) // _SWEEP_TICKS) or 1]
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.minorticks_off()
    axes.invert_xaxis()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save(figure, path)


def plot_subsets(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    controls: Mapping[str, Mapping[str, Any]],
) -> None:
    """Plot accuracy over the kept weights, one point a subset of an assembly's experts.

    Args:
        path: The figure.
        rows: ``experts``, ``head``, ``kept`` and ``top1`` of each point; a star marks the subset
            of all experts.
        controls: ``kept``, ``top1`` and ``top1_deviation`` of each control, by name. Dense ones
            are lines.
    """
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    sizes = sorted({len(row["experts"]) for row in rows})
    for size in sizes:
        points = [row for row in rows if len(row["experts"]) == size and row["head"] == "shared"]
        kept, top1 = ([100 * row[name] for row in points] for name in ("kept", "top1"))
        legend = f"{size} expert{'s' if size > 1 else ''}" if size < sizes[-1] else "assembly"
        style = {"marker": "*", "markersize": 12} if size == sizes[-1] else {"marker": "o"}
        axes.plot(kept, top1, linestyle="", color=f"C{size - 1}", label=legend, zorder=3, **style)
        for row, x, y in zip(points, kept, top1, strict=True):
            name = "+".join(map(str, row["experts"]))
            # Adding an expert of few weights hardly moves a point, so labels alternate by size.
            place: dict[str, Any] = {"xytext": (3, 4), "va": "bottom"}
            if size % 2 == 0:
                place = {"xytext": (3, -4), "va": "top"}
            axes.annotate(name, (x, y), textcoords="offset points", fontsize="x-small", **place)
    own = [row for row in rows if row["head"] == "own"]
    if own:
        kept, top1 = ([100 * row[name] for row in own] for name in ("kept", "top1"))
        axes.plot(kept, top1, "x", color="C0", label="1 expert, own classifier")
    _plot_controls(axes, controls)
    axes.set(
        xscale="log",
        xlabel="kept weights (% of the maskable weights of one dense expert)",
        ylabel="top-1 accuracy (%)",
    )
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save(figure, path)


def _plot_controls(axes: Axes, controls: Mapping[str, Mapping[str, Any]]) -> None:
    for number, (name, control) in enumerate(controls.items()):
        value, spread = 100 * control["top1"], 100 * (control["top1_deviation"] or 0)
        color = _CONTROL_GREYS[number % len(_CONTROL_GREYS)]
        if name.startswith("dense"):
            line = _CONTROL_LINES[number % len(_CONTROL_LINES)]
            axes.axhline(value, color=color, linestyle=line, label=name)
            axes.axhspan(value - spread, value + spread, color="0.93", zorder=0)
        else:
            marker = "sDv^"[number % 4]
            axes.errorbar(
                100 * control["kept"],
                value,
                spread,
                fmt=marker,
                markerfacecolor="none",
                capsize=3,
                color=color,
                label=name,
            )


def plot_fusion(path: Path, runs: Sequence[Mapping[str, Any]], fused: float) -> None:
    """Plot the accuracy of every run, and of their fusion.

    Args:
        path: The figure.
        runs: ``stream``, ``model``, ``weight`` and ``top1`` of each.
        fused: Top-1 accuracy of the fusion.
    """
    names = [label(f"{run['model']}, {run['stream']}", most=80) for run in runs]
    labels = [f"{name}  ({run['weight']:g})" for name, run in zip(names, runs, strict=True)]
    labels.append("fused")
    values = [100 * run["top1"] for run in runs] + [100 * fused]
    wide = max(7.0, 4 + 0.09 * max(map(len, labels)))
    figure = Figure(figsize=(wide, 0.45 * len(runs) + 1.6), layout="constrained")
    axes = figure.subplots()
    # By position: two labels may be equal.
    rows = range(len(labels))
    bars = axes.barh(rows, values, color=["C0"] * len(runs) + ["C1"])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_yticks(rows, labels)
    axes.invert_yaxis()
    axes.set(xlim=(0, 110), xlabel="top-1 accuracy (%); weights in brackets")
    save(figure, path)


def plot_robustness(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Plot accuracy over the fraction of dropped frames, one line a mode.

    Args:
        path: The figure.
        rows: ``dropped``, ``mode`` and ``top1`` of each case, the intact clips first.
    """
    intact, corrupted = rows[0], rows[1:]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(100 * intact["top1"], color="gray", linestyle=":", label="intact")
    for mode in dict.fromkeys(row["mode"] for row in corrupted):
        points = [intact, *(row for row in corrupted if row["mode"] == mode)]
        dropped, top1 = ([100 * row[name] for row in points] for name in ("dropped", "top1"))
        axes.plot(dropped, top1, marker="o", label=mode)
    axes.set(ylim=(0, 102), xlabel="dropped frames (%)", ylabel="top-1 accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save(figure, path)


def plot_confusion(path: Path, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Plot a confusion matrix; the colour is the fraction of the true class.

    Args:
        path: The figure.
        counts: ``[num_classes, num_classes]``, rows are the true classes.
        classes: Names, in label order.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.32 * len(classes) + 3, 6, 16))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) <= _LEGIBLE_CLASSES:
        ticks, names = np.arange(len(classes)), [label(name) for name in classes]
        axes.set_xticks(ticks, names, rotation=90, fontsize="small")
        axes.set_yticks(ticks, names, fontsize="small")
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
    save(figure, path)


def plot_bench(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Plot the time of each backend in each setting, from the first to the last decile.

    Args:
        path: The figure.
        rows: ``backend``, ``threads``, ``clips``, ``persons``, ``frames``, ``milliseconds``,
            ``fastest``, ``slowest`` and ``ratio`` of each measurement.
    """
    settings = list(dict.fromkeys((row["threads"], row["clips"], row["persons"]) for row in rows))
    backends = list(dict.fromkeys(row["backend"] for row in rows))
    figure = Figure(figsize=(2.5 + 2.2 * len(settings), 4.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(backends)
    for number, backend in enumerate(backends):
        own = [row for row in rows if row["backend"] == backend]
        middle = np.array([row["milliseconds"] for row in own])
        low, high = (np.array([row[name] for row in own]) for name in ("fastest", "slowest"))
        places = np.arange(len(settings)) + (number - (len(backends) - 1) / 2) * width
        errors = np.stack([middle - low, high - middle]).clip(min=0)
        bars = axes.bar(places, middle, width, yerr=errors, label=backend, color=f"C{number}")
        ratios = [f"{row['ratio']:.1f}x" for row in own]
        axes.bar_label(bars, ratios, fontsize="x-small", padding=2)
    names = [
        f"{clips} x {persons} person{'s' * (persons > 1)}\n{threads} thread{'s' * (threads > 1)}"
        for threads, clips, persons in settings
    ]
    axes.set_xticks(range(len(settings)), names)
    axes.set(ylabel="milliseconds", yscale="log", title=f"{rows[0]['frames']} frames")
    _plain_ticks(axes)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(fontsize="small", loc="outside right upper")
    save(figure, path)
