"""The figure of the masks of trained networks: kept weights, overlaps and graphs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pyg_stgcn.plots.saving import save
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.skeletons.rest_pose import rest_pose
from pyg_stgcn.text import label

#: Above this many pairs of runs their lines would hide each other.
_LEGIBLE_PAIRS = 6
#: Above this many runs the numbers in the cells of their matrix would not fit.
_LEGIBLE_RUNS = 12
#: Edges weaker than this fraction of the strongest are not drawn: a complete graph starts with such
#: weights between joints that no bone connects.
_FAINT = 1e-6
_LEAST_WIDTH, _MOST_WIDTH = 0.2, 2.5
_BONE_COLOR, _EDGE_COLOR = "#0072b2", "#d55e00"


Row = Mapping[str, Any]


def plot_masks(path: Path, groups: Sequence[Mapping[str, Sequence[Row]]]) -> None:
    """Save the figure of :func:`draw_masks`; the ending of the name selects the format."""
    save(draw_masks(groups), path)


def draw_masks(groups: Sequence[Mapping[str, Sequence[Row]]]) -> Figure:
    """Draw the kept fraction of each layer, the overlaps, and the kept edges on the skeleton.

    Edges are drawn network by network, one row a stage and one column a partition. The width of a
    line is the weight of the edge relative to the strongest one of the stage; the size of a joint
    that of its self-loop.

    Args:
        groups: Networks of one architecture, and the overlaps of their masks. ``"networks"`` are
            rows of ``label``, ``skeleton``, ``kept`` (the kept fraction of each layer, by name)
            and ``graphs`` (the weights of each stage from joint to joint, by the stage's name).
            ``"comparisons"`` are rows of ``first`` and ``second`` (labels), ``jaccard`` and
            ``ratio`` of all weights, and ``layers`` (rows of ``name``, ``jaccard``, ``chance``).

    Shapes:
        - **graphs:** :math:`(K, V, V)` each
    """
    networks = [network for group in groups for network in group["networks"]]
    stages = max(len(each["graphs"]) for each in networks)
    panel = 0.95 * max(len(graph) for each in networks for graph in each["graphs"].values()) + 0.9
    most = max(len(each["kept"]) for each in networks)
    wide = max(float(np.clip(0.16 * most + 3, 10, 24)), min(len(networks), 4) * panel)
    columns = min(len(networks), max(1, int(wide / panel)))
    rows = -(-len(networks) // columns)
    heights = [
        height for group in groups for height in (3.8, *([4.2] if group["comparisons"] else []))
    ]
    heights.append(rows * (1.2 * stages + 0.5) + 0.6)
    figure = Figure(figsize=(wide, sum(heights)), layout="constrained")
    subfigures: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    parts = iter(subfigures)
    for group in groups:
        _draw_kept(next(parts).subplots(), group["networks"])
        if group["comparisons"]:
            layers, matrix = next(parts).subplots(1, 2, width_ratios=(2.2, 1))
            _draw_layer_overlaps(layers, group["comparisons"])
            labels = [each["label"] for each in group["networks"]]
            _draw_matrix(matrix, labels, group["comparisons"])
    _draw_edges(next(parts), networks, rows, columns)
    return figure


def _draw_edges(part: Any, networks: Sequence[Row], rows: int, columns: int) -> None:
    grid = part.subplots(rows, columns, squeeze=False)
    for axes, each in zip(grid.flat, networks, strict=False):
        _draw_graphs(axes, each)
    for axes in grid.flat[len(networks) :]:
        axes.set_axis_off()
    part.suptitle("edges, by stage (rows) and partition (columns)")
    part.legend(
        handles=[
            Line2D([], [], color=_BONE_COLOR, label="bones"),
            Line2D([], [], color=_EDGE_COLOR, label="other edges"),
            Line2D([], [], color="0.2", marker="o", markersize=4, lw=0, label="self-loops"),
        ],
        loc="outside lower center",
        ncols=3,
        fontsize="small",
        frameon=False,
    )


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
    axes.set_xlim(x[0] - 1, x[-1] + 1)
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
        axes.bar(place, values, width, color=f"C{number % 10}", label=label(each["label"]))
        empty = place[values == 0]
        axes.plot(empty, np.full(len(empty), least / 1.4), "x", color=f"C{number % 10}")
    axes.set(yscale="log", ylim=(least / 2, 130), ylabel="kept weights (%); crosses: none")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("kept weights of each layer, by stage", pad=18)
    axes.grid(axis="y", alpha=0.3)
    if len(networks) > 1:
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))


def _draw_layer_overlaps(axes: Axes, comparisons: Sequence[Row]) -> None:
    x = _name_layers(axes, [layer["name"] for layer in comparisons[0]["layers"]])
    values = {
        kind: np.array([[layer[kind] for layer in pair["layers"]] for pair in comparisons], float)
        for kind in ("jaccard", "chance")
    }
    for kind, marker in (("jaccard", "o"), ("chance", "_")):
        if len(comparisons) <= _LEGIBLE_PAIRS:
            for number, (pair, line) in enumerate(zip(comparisons, values[kind], strict=True)):
                names = f"{label(pair['first'])}, {label(pair['second'])}"
                shown = names if kind == "jaccard" else None
                axes.plot(x, line, marker, color=f"C{number}", markersize=4, label=shown)
            continue
        # Layers without kept weights have no index.
        line = np.ma.masked_invalid(values[kind])
        low, high = line.min(axis=0), line.max(axis=0)
        # The mean of equal numbers is rounded, and may lie outside.
        middle = line.mean(axis=0).clip(low, high)
        axes.errorbar(
            x,
            middle,
            (middle - low, high - middle),
            fmt=marker,
            color="C0" if kind == "jaccard" else "0.4",
            markersize=4,
            lw=1,
            label=f"{kind}: mean and range of {len(comparisons)} pairs",
        )
    axes.set(ylim=(0, None), ylabel="Jaccard index; dashes: chance")
    axes.set_xlabel("overlap of the masks, by layer and stage")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="x-small", loc="lower left", bbox_to_anchor=(0, 1.1), ncols=2)


def _draw_matrix(axes: Axes, labels: Sequence[str], comparisons: Sequence[Row]) -> None:
    ratios = np.full((len(labels), len(labels)), np.nan)
    for pair in comparisons:
        i, j = labels.index(pair["first"]), labels.index(pair["second"])
        ratios[i, j] = ratios[j, i] = np.nan if pair["ratio"] is None else pair["ratio"]
    most = max(2.0, float(np.nanmax(ratios, initial=0)))
    image = axes.imshow(ratios, cmap="YlGn", vmin=1, vmax=most)
    for pair in comparisons if len(labels) <= _LEGIBLE_RUNS else ():
        for i, j in permutations((labels.index(pair["first"]), labels.index(pair["second"]))):
            if pair["jaccard"] is None:
                continue
            text = f"{pair['jaccard']:.2f}\n{ratios[i, j]:.1f}x"
            color = "white" if ratios[i, j] > 0.6 * most else "black"
            axes.text(i, j, text, ha="center", va="center", fontsize="x-small", color=color)
    axes.figure.colorbar(image, ax=axes, label="times chance")
    ticks, names = np.arange(len(labels)), [label(name) for name in labels]
    axes.set_xticks(ticks, names, rotation=90, fontsize="x-small")
    axes.set_yticks(ticks, names, fontsize="x-small")
    axes.set_title("Jaccard index of all weights", fontsize="medium")


def _draw_graphs(axes: Axes, each: Row) -> None:
    """All graphs of a network in one frame."""
    pose = rest_pose(each["skeleton"])
    pose = pose - (pose.min(axis=0) + pose.max(axis=0)) / 2
    cell = np.ptp(pose, axis=0) + 0.25
    graphs = {stage: np.abs(graph).astype(float) for stage, graph in each["graphs"].items()}
    num_partitions = max(len(graph) for graph in graphs.values())
    for row, graph in enumerate(graphs.values()):
        # Relative to each stage: the weights of the first are often many times those of the others.
        strongest = graph.max() or 1.0
        for column, weight in enumerate(graph):
            place = pose + cell * (column, -row)
            _draw_graph(axes, place, each["skeleton"], weight / strongest)
    columns, rows = np.arange(num_partitions), np.arange(len(graphs))
    axes.set_xticks(cell[0] * columns, [f"k = {k + 1}" for k in columns], fontsize="small")
    axes.set_yticks(-cell[1] * rows, list(graphs), fontsize="small")
    axes.set_aspect("equal")
    axes.set_xlim(cell[0] * (-0.5), cell[0] * (num_partitions - 0.5))
    axes.set_ylim(-cell[1] * (len(graphs) - 0.5), cell[1] * 0.5)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_title(label(each["label"]), fontsize="medium")


def _draw_graph(
    axes: Axes, place: NDArray[np.float64], skeleton: Skeleton, weight: NDArray[np.float64]
) -> None:
    """Draw one partition of one stage; ``weight`` [V, V] is relative to the strongest edge."""
    bones = {frozenset(bone) for bone in skeleton.bones}
    axes.add_collection(
        LineCollection(
            [place[list(bone)] for bone in skeleton.bones], colors="0.88", linewidths=0.8, zorder=1
        )
    )
    source, target = np.nonzero(weight > _FAINT)
    between = source != target
    source, target = source[between], target[between]
    order = np.argsort(weight[source, target], kind="stable")
    pairs = np.stack([source[order], target[order]], axis=1)
    strength = weight[pairs[:, 0], pairs[:, 1]]
    colors = [_BONE_COLOR if frozenset(pair) in bones else _EDGE_COLOR for pair in pairs.tolist()]
    axes.add_collection(
        LineCollection(
            list(place[pairs]),
            # Hundreds of weak edges would cover the few strong ones.
            colors=to_rgba_array(colors, 0.04 + 0.86 * strength**3) if colors else [],
            linewidths=_LEAST_WIDTH + (_MOST_WIDTH - _LEAST_WIDTH) * strength,
            zorder=2,
        )
    )
    loops = np.diagonal(weight)
    axes.scatter(
        place[:, 0],
        place[:, 1],
        s=np.where(loops > _FAINT, 1 + 15 * loops, 0),
        c="0.2",
        lw=0,
        zorder=3,
    )
