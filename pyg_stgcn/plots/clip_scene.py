"""Clips as lines and points in the plane of a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.style import COLORS
from pyg_stgcn.plots.viewpoint import VIEW, find_turn
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.clip_tensor import clip_name, kept_present, split_persons

Points = NDArray[np.float64]

NUM_EDGES = 12
"""Most edges of a graph that are drawn besides the bones; the strongest are chosen."""

# These differ in lightness too.
SIDE_COLORS = {"left": COLORS[5], "right": COLORS[1], "middle": "#404040"}
EDGE_COLOR = COLORS[2]
_EDGE_LINE = (0, (3, 1.5))
FAINT = "#d0d0d0"
BONE_WIDTH, _LEAST_WIDTH, _MOST_WIDTH = 2.2, 0.5, 4.0


@dataclass(frozen=True)
class Lines:
    """Lines between joints: pairs of joints [L, 2], with a colour and a width each."""

    pairs: NDArray[np.int64]
    colors: list[str]
    widths: NDArray[np.float64]
    joint_colors: list[str]


@dataclass(frozen=True)
class Scene:
    """A clip in the plane of the figure: points [M, T, V, 2] (NaN where missing), and a floor."""

    points: Points
    lines: Lines
    floor: Points
    floor_step: float
    low: Points
    high: Points
    y_down: bool


def joint_positions(clip: Data, skeleton: Skeleton, has_score: bool) -> Points:
    """Coordinates of the joints [M, T, V, 2 or 3], NaN where they are missing."""
    joints = split_persons(clip).transpose(1, 2).double().numpy()
    if joints.shape[2] != skeleton.num_joints:
        raise InputError(
            f"{clip_name(clip)}: {joints.shape[2]} joints a person do not fit skeleton "
            f"{skeleton.name!r} with {skeleton.num_joints}; give the skeleton of the data"
        )
    points = joints[..., : 2 if has_score else 3]
    present, recorded = points.any(axis=-1, keepdims=True), kept_present(clip)
    if recorded is not None:
        by_person = recorded.view(len(joints), joints.shape[2], -1)
        present = by_person.transpose(1, 2).unsqueeze(-1).numpy()
    if not present.any():
        raise InputError(f"{clip_name(clip)}: no joint is present; draw another clip")
    return np.where(present, points, np.nan)


def _sides(skeleton: Skeleton) -> list[str]:
    sides = ["middle"] * skeleton.num_joints
    for left, right in skeleton.pairs:
        sides[left], sides[right] = "left", "right"
    return sides


def make_lines(skeleton: Skeleton, edge_weight: Tensor | None) -> Lines:
    """The bones of a skeleton, coloured by side, and the strongest other edges of a graph.

    Raises:
        InputError: The graph ``[V, V]`` has another number of joints.
    """
    sides = _sides(skeleton)
    colors = []
    for bone in skeleton.bones:
        # A limb's first bone leads from the middle to a side.
        found = {sides[joint] for joint in bone} - {"middle"}
        colors.append(SIDE_COLORS[found.pop() if len(found) == 1 else "middle"])
    pairs = np.array(skeleton.bones, np.int64).reshape(-1, 2)
    widths = np.full(len(pairs), BONE_WIDTH)
    if edge_weight is not None:
        if tuple(edge_weight.shape) != (skeleton.num_joints, skeleton.num_joints):
            raise InputError(
                f"edge_weight: {tuple(edge_weight.shape)} are not the joints of skeleton "
                f"{skeleton.name!r} with {skeleton.num_joints}; give the graph of the same skeleton"
            )
        strength = edge_weight.double().abs().numpy()
        pairs, widths = _weigh(pairs, (strength + strength.T) / 2)
        colors += [EDGE_COLOR] * (len(pairs) - len(colors))
    return Lines(pairs, colors, widths, [SIDE_COLORS[side] for side in sides])


def _weigh(
    bones: NDArray[np.int64], strength: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The bones and the strongest other edges, and their widths."""
    others = np.triu(strength, k=1)
    strongest = max(float(others.max()), np.finfo(float).tiny)
    others[bones.min(axis=1), bones.max(axis=1)] = 0
    order = np.argsort(-others, axis=None, kind="stable")[:NUM_EDGES]
    edges = np.stack(np.unravel_index(order, others.shape), axis=1)
    edges = edges[others[edges[:, 0], edges[:, 1]] > 0]
    pairs = np.concatenate([bones, edges])
    relative = strength[pairs[:, 0], pairs[:, 1]] / strongest
    return pairs, _LEAST_WIDTH + (_MOST_WIDTH - _LEAST_WIDTH) * relative


def make_scene(points: Points, skeleton: Skeleton, lines: Lines) -> Scene:
    """A clip ``[M, T, V, 2 or 3]`` in the plane; bodies in 3-D stand on a floor."""
    floor, step = np.empty((0, 2, 2)), 0.0
    y_down = points.shape[-1] == 2
    if not y_down:
        points = points @ find_turn(points, skeleton)
        floor, step = _make_floor(points)
        points, floor = points @ VIEW, floor @ VIEW
    seen = np.concatenate([points.reshape(-1, 2), floor.reshape(-1, 2)])
    low, high = np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)
    # The extent of a single joint that does not move is zero.
    margin = 0.05 * float((high - low).max()) or 1.0
    return Scene(points, lines, floor, step, low - margin, high + margin, y_down)


def _make_floor(points: Points) -> tuple[Points, float]:
    """Lines of squares under the clip [L, 2, 3], and the side of a square."""
    low, high = (extreme(points, axis=(0, 1, 2)) for extreme in (np.nanmin, np.nanmax))
    span = float((high - low)[[0, 2]].max()) or 1.0
    step = float(np.diff(MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(0, span))[0])
    x, z = (
        step * np.arange(np.floor(low[axis] / step), np.ceil(high[axis] / step) + 1)
        for axis in (0, 2)
    )
    y = low[1]
    along = [((value, y, z[0]), (value, y, z[-1])) for value in x]
    across = [((x[0], y, value), (x[-1], y, value)) for value in z]
    return np.array(along + across), step


class Poses:
    """The persons of a scene in a plot, at one frame.

    Args:
        axes: The plot; its limits are set to those of the scene.
        scene: The clip.
    """

    def __init__(self, axes: Axes, scene: Scene) -> None:
        self.scene = scene
        persons, joints = len(scene.points), len(scene.lines.joint_colors)
        lines = scene.lines
        axes.add_collection(LineCollection(list(scene.floor), colors=FAINT, linewidths=0.8))
        # Bones are drawn last, on top of the other edges.
        order = np.arange(len(lines.pairs))[::-1]
        self.pairs = lines.pairs[order]
        self.lines = LineCollection(
            [],
            colors=[lines.colors[i] for i in order] * persons,
            linewidths=np.tile(lines.widths[order], persons),
            linestyles=[line_of(lines.colors[i]) for i in order] * persons,
            capstyle="butt",
        )
        axes.add_collection(self.lines)
        hollow = ["white"] * (persons - 1) * joints
        self.joints = axes.scatter(
            np.zeros(persons * joints),
            np.zeros(persons * joints),
            s=10,
            c=lines.joint_colors + hollow,
            edgecolors=lines.joint_colors * persons,
            linewidths=0.8,
            zorder=3,
        )
        axes.set_aspect("equal")
        axes.set_xlim(scene.low[0], scene.high[0])
        vertical = scene.low[1], scene.high[1]
        axes.set_ylim(*(vertical[::-1] if scene.y_down else vertical))
        if scene.y_down:
            axes.set(xlabel="x (pixels)", ylabel="y (pixels)")
            axes.tick_params(labelsize="x-small", colors="gray")
            axes.spines[:].set_color(FAINT)
            axes.grid(visible=False)
        else:
            axes.set_axis_off()

    def show(self, frame: int) -> None:
        """Move the persons to where they are in a frame."""
        points = self.scene.points[:, frame]
        self.lines.set_segments(list(points[:, self.pairs].reshape(-1, 2, 2)))
        self.joints.set_offsets(points.reshape(-1, 2))


def evenly_spaced(frames: int, most: int) -> list[int]:
    """At most ``most`` evenly spaced frames, with the first and the last."""
    chosen: list[int] = np.linspace(0, frames - 1, min(frames, most)).round().astype(int).tolist()
    return chosen


def scene_legend(scene: Scene) -> list[Line2D]:
    """A line for each colour of a scene, with its meaning."""
    used = {*scene.lines.colors, *scene.lines.joint_colors}
    named: dict[str, tuple[str, float]] = {
        side: (color, BONE_WIDTH) for side, color in SIDE_COLORS.items() if color in used
    }
    if EDGE_COLOR in used:
        named["other edges"] = EDGE_COLOR, BONE_WIDTH
    if scene.floor_step:
        named[f"squares of {scene.floor_step:g}"] = FAINT, 1.0
    return [
        Line2D([], [], color=color, linewidth=width, linestyle=line_of(color), label=label)
        for label, (color, width) in named.items()
    ]


def line_of(color: str) -> Any:
    """Line style of a colour: edges that are no bones are dashed."""
    return _EDGE_LINE if color == EDGE_COLOR else "-"
