"""Panels of the edges of graphs: matrices, beside the strongest edges on the skeleton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pyg_stgcn.plots.style import COLORS, GRID, SEQUENTIAL
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.skeletons.rest_pose import rest_pose
from pyg_stgcn.text import label

Weights = NDArray[np.float64]

NUM_EDGES = 8
"""Most edges of a graph that are drawn on the skeleton; the strongest are chosen."""
#: Inches of a joint in a matrix, and limits of the side of the matrix.
_CELL, _LEAST_SIDE, _MOST_SIDE = 0.09, 1.4, 4.5
#: Most columns of networks, and most names along a matrix.
_COLUMNS, _MOST_NAMES = 4, 50
_LEAST_WIDTH, _MOST_WIDTH = 0.8, 3.5
#: Height of the control point of an arc, relative to its length.
_BEND = 0.2
_BONE: dict[str, Any] = {"color": COLORS[0], "linestyle": "-"}
_OTHER: dict[str, Any] = {"color": COLORS[1], "linestyle": (0, (2, 1))}


class EdgePanels:
    """The edges of graphs, one row a stage: matrices, beside the strongest edges on the skeleton.

    The graphs of a single network are drawn partition by partition. Those of several are averaged
    over the partitions, one column a network. Weights are relative to the strongest edge of a
    stage.

    Args:
        networks: ``label``, ``skeleton`` and ``graphs`` of each, see
            :func:`~pyg_stgcn.plots.masks.plot_masks`.
    """

    def __init__(self, networks: Sequence[Mapping[str, Any]]) -> None:
        self.columns: list[tuple[str, Skeleton, dict[str, Weights]]] = []
        for each in networks:
            graphs = {stage: _relative(graph) for stage, graph in each["graphs"].items()}
            if len(networks) > 1:
                means = {stage: _relative(graph.mean(axis=0)) for stage, graph in graphs.items()}
                self.columns.append((label(each["label"]), each["skeleton"], means))
                continue
            for k in range(max(map(len, graphs.values()))):
                parts = {stage: graph[k] for stage, graph in graphs.items() if k < len(graph)}
                self.columns.append((f"partition {k + 1}", each["skeleton"], parts))
        self.averaged = len(networks) > 1
        self.wide = min(len(self.columns), _COLUMNS) if self.averaged else len(self.columns)
        most = max(skeleton.num_joints for _, skeleton, _ in self.columns)
        self.side = float(np.clip(_CELL * most, _LEAST_SIDE, _MOST_SIDE))
        self.blocks = [
            self.columns[start : start + self.wide]
            for start in range(0, len(self.columns), self.wide)
        ]

    @property
    def width(self) -> float:
        """Width of all panels in inches."""
        return 1.6 + 1.85 * self.side * self.wide

    @property
    def height(self) -> float:
        """Height of all panels in inches."""
        rows = sum(len(_stages(block)) for block in self.blocks)
        return 1.3 + 1.2 * len(self.blocks) + (self.side + 0.1) * rows

    def draw(self, part: Any) -> None:
        """Draw the panels into a sub-figure."""
        heights = [len(_stages(block)) for block in self.blocks]
        parts = np.atleast_1d(part.subfigures(len(heights), 1, height_ratios=heights))
        for block, where in zip(self.blocks, parts, strict=True):
            image = self._draw_block(where, block)
        averaged = ", mean over the partitions" if self.averaged else ""
        part.suptitle(f"edges of the graphs by stage{averaged}")
        parts[0].colorbar(
            image,
            ax=parts[0].axes,
            location="top",
            aspect=60,
            shrink=0.5,
            fraction=0.01,
            pad=0.01,
            label="weight of the edge, relative to the strongest of its stage",
        )
        part.legend(
            handles=[
                Line2D([], [], color=GRID, linewidth=3, label="skeleton"),
                Line2D([], [], linewidth=2, label="strongest edges: bones", **_BONE),
                Line2D([], [], linewidth=2, label="strongest edges: others", **_OTHER),
            ],
            loc="outside lower center",
            ncols=3,
        )

    def _draw_block(self, where: Any, block: Sequence[tuple[str, Skeleton, Any]]) -> Any:
        """Draw one row of columns; return the image that the colour bar explains."""
        stages = _stages(block)
        grid = where.subplots(
            len(stages), 2 * self.wide, squeeze=False, width_ratios=(1, 0.75) * self.wide
        )
        for row, stage in enumerate(stages):
            for column in range(self.wide):
                matrix, drawing = grid[row, 2 * column : 2 * column + 2]
                drawing.set_axis_off()
                if column >= len(block) or stage not in block[column][2]:
                    matrix.set_axis_off()
                    continue
                title, skeleton, graphs = block[column]
                image = matrix.imshow(graphs[stage], cmap=SEQUENTIAL, vmin=0, vmax=1)
                matrix.set(xticks=[], yticks=[])
                matrix.grid(visible=False)
                matrix.spines[:].set_visible(True)
                _draw_strongest(drawing, skeleton, graphs[stage])
                if row == 0:
                    matrix.set_title(title)
                # Joints have names at the outer edges only: hundreds of names take long to draw.
                if row == len(stages) - 1:
                    _name_joints(matrix.xaxis, skeleton, "to joint")
                if column == 0:
                    _name_joints(matrix.yaxis, skeleton, f"{stage}\nfrom joint")
        return image


def _relative(graph: Weights) -> Weights:
    """Absolute weights, divided by the strongest."""
    strength = np.abs(graph).astype(float)
    return strength / (strength.max() or 1.0)


def _stages(block: Sequence[tuple[str, Skeleton, dict[str, Weights]]]) -> list[str]:
    return list(dict.fromkeys(stage for _, _, graphs in block for stage in graphs))


def _name_joints(axis: Axis, skeleton: Skeleton, title: str) -> None:
    step = -(-skeleton.num_joints // _MOST_NAMES)
    ticks = range(0, skeleton.num_joints, step)
    axis.set_ticks(ticks, [label(skeleton.joints[tick], 20) for tick in ticks])
    axis.set_tick_params(length=1, pad=1, labelsize="xx-small")
    if isinstance(axis, XAxis):
        axis.set_tick_params(rotation=90)
    axis.set_label_text(title)


def _arc(start: Weights, end: Weights) -> Weights:
    """A flat arc, which does not hide the joints between two others: points [16, 2]."""
    way = end - start
    middle = (start + end) / 2 + _BEND * np.array([-way[1], way[0]])
    t = np.linspace(0, 1, 16)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end


def _draw_strongest(axes: Axes, skeleton: Skeleton, weight: Weights) -> None:
    """Draw the strongest edges between different joints, in either direction."""
    pose = rest_pose(skeleton)
    bones = {frozenset(bone) for bone in skeleton.bones}
    axes.add_collection(
        LineCollection([pose[list(bone)] for bone in skeleton.bones], colors=GRID, linewidths=3)
    )
    strength = np.triu(np.maximum(weight, weight.T), k=1)
    order = np.argsort(-strength, axis=None, kind="stable")[:NUM_EDGES]
    pairs = np.stack(np.unravel_index(order, strength.shape), axis=1)
    for one, other in pairs[strength[pairs[:, 0], pairs[:, 1]] > 0].tolist():
        width = _LEAST_WIDTH + (_MOST_WIDTH - _LEAST_WIDTH) * strength[one, other]
        is_bone = frozenset((one, other)) in bones
        path = pose[[one, other]] if is_bone else _arc(pose[one], pose[other])
        axes.plot(*path.T, linewidth=width, **(_BONE if is_bone else _OTHER))
    axes.plot(*pose.T, ".", markersize=3, color="0.4", zorder=3)
    axes.set(aspect="equal")
    axes.margins(0.08)
