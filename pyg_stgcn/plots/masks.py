"""The figure of the masks of trained networks: kept weights, overlaps and edges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pyg_stgcn.plots.edges import EdgePanels
from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import REFERENCE, SEQUENTIAL, bar_style, line_style, log_axis
from pyg_stgcn.text import label

#: Above this many pairs of runs their lines would hide each other.
_LEGIBLE_PAIRS = 6
#: Above this many runs the numbers in the cells of their matrix would not fit.
_LEGIBLE_RUNS = 12
Row = Mapping[str, Any]


def plot_masks(files: Files, groups: Sequence[Mapping[str, Sequence[Row]]]) -> None:
    """Plot the kept fraction of each layer, the overlaps of masks, and the edges of the graphs.

    Args:
        files: The figure.
        groups: Networks of one architecture, and the overlaps of their masks. ``"networks"`` are
            rows of ``label``, ``skeleton``, ``kept`` (the kept fraction of each layer, by name)
            and ``graphs`` (the weights of each stage from joint to joint, by the stage's name).
            ``"comparisons"`` are rows of ``first`` and ``second`` (labels), ``jaccard`` and
            ``ratio`` of all weights, and ``layers`` (rows of ``name``, ``jaccard``, ``chance``).

    Shapes:
        - **graphs:** :math:`(K, V, V)` each
    """
    networks = [network for group in groups for network in group["networks"]]
    edges = EdgePanels(networks)
    most = max(len(each["kept"]) for each in networks)
    wide = max(float(np.clip(0.16 * most + 3, 10, 24)), edges.width)
    heights = [
        height for group in groups for height in (3.8, *([4.4] if group["comparisons"] else []))
    ]
    heights.append(edges.height)
    names = ", ".join(label(each["label"]) for each in networks)
    with new_figure(files, wide, sum(heights) + 0.4, f"masks of {names}") as figure:
        subfigures: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
        parts = iter(np.atleast_1d(subfigures))
        for group in groups:
            _draw_kept(next(parts).subplots(), group["networks"])
            if group["comparisons"]:
                layers, matrix = next(parts).subplots(1, 2, width_ratios=(2.2, 1))
                _draw_layer_overlaps(layers, group["comparisons"])
                labels = [each["label"] for each in group["networks"]]
                _draw_matrix(matrix, labels, group["comparisons"])
        edges.draw(next(parts))


def stage_of(name: str) -> str:
    """The stage, counted from 1, that a layer is part of; empty if it is outside of all.

    >>> stage_of("stages.0.gcn.conv.weight"), stage_of("head.fc.weight")
    ('stage 1', '')
    """
    found = re.search(r"(?:^|\.)stages\.(\d+)\.", name)
    return f"stage {int(found[1]) + 1}" if found else ""


def _positions(names: Sequence[str]) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Positions of the layers, with a gap between stages, and the middle of each stage."""
    stages = [stage_of(name) for name in names]
    x = np.cumsum([0.0, *(1.0 if one == other else 2.0 for one, other in pairwise(stages))])
    middles = {stage: float(x[[s == stage for s in stages]].mean()) for stage in stages}
    return x, middles


def _name_layers(axes: Axes, names: Sequence[str]) -> NDArray[np.float64]:
    x, middles = _positions(names)
    short = [name.split(".", 2)[2] if stage_of(name) else name for name in names]
    axes.set_xticks(x, [label(name.removesuffix(".weight")) for name in short], rotation=90)
    axes.tick_params(axis="x", labelsize="xx-small")
    for stage, middle in middles.items():
        place = (middle, 1.0), axes.get_xaxis_transform()
        axes.annotate(
            stage.removeprefix("stage "), place[0], xycoords=place[1], ha="center", va="bottom"
        )
    axes.set(xlim=(x[0] - 1, x[-1] + 1), xlabel="layer")
    return x


def _draw_kept(axes: Axes, networks: Sequence[Row]) -> None:
    layers: list[list[str]] = [list(each["kept"]) for each in networks]
    names = max(layers, key=len)
    x = _name_layers(axes, names)
    width = 0.85 / len(networks)
    # A network without edge masks keeps all its edges.
    kept = np.array([[100 * each["kept"].get(name, 1.0) for name in names] for each in networks])
    least = kept[kept > 0].min() if kept.any() else 1.0
    for number, (each, values) in enumerate(zip(networks, kept, strict=True)):
        place = x + (number - (len(networks) - 1) / 2) * width
        style = bar_style(number)
        axes.bar(place, values, width, label=label(each["label"]), **style)
        empty = place[values == 0]
        axes.plot(empty, np.full(len(empty), least / 1.4), "x", color=style["color"])
    log_axis(axes.yaxis)
    axes.set(ylim=(least / 2, 130), ylabel="kept weights (%)")
    crosses = "; crosses: none" if (kept == 0).any() else ""
    axes.set_title(f"kept weights of each layer, by stage{crosses}", pad=18)
    axes.grid(visible=False, axis="x")
    if len(networks) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _draw_layer_overlaps(axes: Axes, comparisons: Sequence[Row]) -> None:
    x = _name_layers(axes, [layer["name"] for layer in comparisons[0]["layers"]])
    for kind in ("jaccard", "chance"):
        values = np.array(
            [[layer[kind] for layer in pair["layers"]] for pair in comparisons], float
        )
        if len(comparisons) > _LEGIBLE_PAIRS:
            _draw_range(axes, x, values, kind)
            continue
        for number, (pair, line) in enumerate(zip(comparisons, values, strict=True)):
            style = {**line_style(number), "linestyle": "", "markevery": 1}
            if kind == "chance":
                axes.plot(x, line, **{**style, "marker": "_", "markersize": 8})
            else:
                names = f"{label(pair['first'])}, {label(pair['second'])}"
                axes.plot(x, line, label=names, **style)
    axes.set(ylim=(0, None), ylabel="Jaccard index; dashes: chance")
    axes.set_title("overlap of the masks of each layer, by stage", pad=18)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.45), ncols=2)


def _draw_range(axes: Axes, x: NDArray[np.float64], values: Any, kind: str) -> None:
    """Draw the mean and the range over many pairs."""
    # Layers without kept weights have no index.
    line = np.ma.masked_invalid(values)
    low, high = line.min(axis=0), line.max(axis=0)
    # The mean of equal numbers is rounded, and may lie outside.
    middle = line.mean(axis=0).clip(low, high)
    axes.errorbar(
        x,
        middle,
        (middle - low, high - middle),
        fmt="o" if kind == "jaccard" else "_",
        color=line_style(0)["color"] if kind == "jaccard" else REFERENCE,
        markersize=5,
        linewidth=1,
        label=f"{kind}: mean and range of {len(values)} pairs",
    )


def _draw_matrix(axes: Axes, labels: Sequence[str], comparisons: Sequence[Row]) -> None:
    ratios = np.full((len(labels), len(labels)), np.nan)
    for pair in comparisons:
        i, j = labels.index(pair["first"]), labels.index(pair["second"])
        ratios[i, j] = ratios[j, i] = np.nan if pair["ratio"] is None else pair["ratio"]
    most = max(2.0, float(np.nanmax(ratios, initial=0)))
    image = axes.imshow(ratios, cmap=SEQUENTIAL, vmin=1, vmax=most)
    for pair in comparisons if len(labels) <= _LEGIBLE_RUNS else ():
        for i, j in permutations((labels.index(pair["first"]), labels.index(pair["second"]))):
            if pair["jaccard"] is None:
                continue
            text = f"{pair['jaccard']:.2f}\n{ratios[i, j]:.1f}x"
            color = "white" if ratios[i, j] > 0.6 * most else "black"
            axes.text(i, j, text, ha="center", va="center", fontsize="x-small", color=color)
    axes.figure.colorbar(image, ax=axes, label="overlap (times chance)")
    axes.grid(visible=False)
    ticks, names = np.arange(len(labels)), [label(name) for name in labels]
    axes.set_xticks(ticks, names, rotation=90, fontsize="x-small")
    axes.set_yticks(ticks, names, fontsize="x-small")
    axes.set(xlabel="network", ylabel="and network", title="Jaccard index of all weights")
