"""Figures of clips: an animation, or a strip of poses over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.plots.figure_files import ANIMATION, CLIP_FORMATS, check_figure
from pyg_stgcn.plots.saving import save, set_title
from pyg_stgcn.plots.style import COLORS, figure_style
from pyg_stgcn.plots.titles import missing_glyphs_reported, text_width
from pyg_stgcn.plots.viewpoint import VIEW, find_turn
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.clip_tensor import clip_name, kept_present, split_persons

Points = NDArray[np.float64]

MAX_FRAMES = 100
"""Most frames of an animation; of longer clips, this many evenly spaced frames are drawn."""
NUM_POSES = 8
"""Most poses of a strip."""
NUM_EDGES = 12
"""Most edges of a graph that are drawn besides the bones; the strongest are chosen."""

# These differ in lightness too.
SIDE_COLORS = {"left": COLORS[5], "right": COLORS[1], "middle": "#404040"}
EDGE_COLOR = COLORS[2]
_EDGE_LINE = (0, (3, 1.5))
_FAINT = "#d0d0d0"
_BONE_WIDTH, _LEAST_WIDTH, _MOST_WIDTH = 2.2, 0.5, 4.0


def draw_clip(
    path: Path,
    clip: Data,
    skeleton: Skeleton,
    *,
    has_score: bool,
    title: str = "",
    edge_weight: Tensor | None = None,
    fps: int = 20,
) -> None:
    r"""Draw all persons of a clip, as an animation (``.gif``) or as a strip of poses.

    Bones are coloured by side, the joints of all persons but the first are hollow. Missing
    joints, by the clip's ``present`` or else those at zero, and their bones are not drawn. Axes are
    equal and the same in all frames. 2-D clips are pixels, with y down. 3-D clips are seen as by a
    camera, a little from the side and from above. Up is y or z, in either direction, as
    :func:`pyg_stgcn.skeletons.posture.find_up` finds.

    Args:
        path: The figure.
        clip: A clip of a dataset.
        skeleton: Its skeleton.
        has_score: Whether the clip is 2-D with the channels x, y, score.
        title: Text above the figure.
        edge_weight: Weights of a graph, drawn as widths of lines: of the bones, and of the
            :data:`NUM_EDGES` strongest other edges. See :func:`pyg_stgcn.nn.edge_strength`.
        fps: Frames per second of an animation.

    Shapes:
        - **clip.x:** :math:`(M \cdot V, T, C)`
        - **edge_weight:** :math:`(V, V)`, from joint to joint

    Raises:
        InputError: The name of the file has another ending, its folder does not exist, the clip or
            the graph does not fit the skeleton, or no joint is present.
    """
    check_figure(path, CLIP_FORMATS)
    lines = _make_lines(skeleton, edge_weight)
    scene = _make_scene(_positions(clip, skeleton, has_score), skeleton, lines)
    with figure_style():
        if path.suffix.lower() == ANIMATION:
            with missing_glyphs_reported(path):
                write_atomically(path, lambda file: _animate(file, scene, title, fps))
        else:
            save(_draw_strip(scene, title), path)


@dataclass(frozen=True)
class _Lines:
    """Lines between joints: pairs of joints [L, 2], with a colour and a width each."""

    pairs: NDArray[np.int64]
    colors: list[str]
    widths: NDArray[np.float64]
    joint_colors: list[str]


@dataclass(frozen=True)
class _Scene:
    """A clip in the plane of the figure: points [M, T, V, 2] (NaN where missing), and a floor."""

    points: Points
    lines: _Lines
    floor: Points
    floor_step: float
    low: Points
    high: Points
    y_down: bool


def _positions(clip: Data, skeleton: Skeleton, has_score: bool) -> Points:
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


def _make_lines(skeleton: Skeleton, edge_weight: Tensor | None) -> _Lines:
    sides = _sides(skeleton)
    colors = []
    for bone in skeleton.bones:
        # A limb's first bone leads from the middle to a side.
        found = {sides[joint] for joint in bone} - {"middle"}
        colors.append(SIDE_COLORS[found.pop() if len(found) == 1 else "middle"])
    pairs = np.array(skeleton.bones, np.int64).reshape(-1, 2)
    widths = np.full(len(pairs), _BONE_WIDTH)
    if edge_weight is not None:
        if tuple(edge_weight.shape) != (skeleton.num_joints, skeleton.num_joints):
            raise InputError(
                f"edge_weight: {tuple(edge_weight.shape)} are not the joints of skeleton "
                f"{skeleton.name!r} with {skeleton.num_joints}; give the graph of the same skeleton"
            )
        strength = edge_weight.double().abs().numpy()
        pairs, widths = _weigh(pairs, (strength + strength.T) / 2)
        colors += [EDGE_COLOR] * (len(pairs) - len(colors))
    return _Lines(pairs, colors, widths, [SIDE_COLORS[side] for side in sides])


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


def _make_scene(points: Points, skeleton: Skeleton, lines: _Lines) -> _Scene:
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
    return _Scene(points, lines, floor, step, low - margin, high + margin, y_down)


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


class _Poses:
    """Artists of one frame."""

    def __init__(self, axes: Axes, scene: _Scene) -> None:
        self.scene = scene
        persons, joints = len(scene.points), len(scene.lines.joint_colors)
        lines = scene.lines
        axes.add_collection(LineCollection(list(scene.floor), colors=_FAINT, linewidths=0.8))
        # Bones are drawn last, on top of the other edges.
        order = np.arange(len(lines.pairs))[::-1]
        self.pairs = lines.pairs[order]
        self.lines = LineCollection(
            [],
            colors=[lines.colors[i] for i in order] * persons,
            linewidths=np.tile(lines.widths[order], persons),
            linestyles=[_line_of(lines.colors[i]) for i in order] * persons,
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
            axes.spines[:].set_color(_FAINT)
            axes.grid(visible=False)
        else:
            axes.set_axis_off()

    def show(self, frame: int) -> None:
        points = self.scene.points[:, frame]
        self.lines.set_segments(list(points[:, self.pairs].reshape(-1, 2, 2)))
        self.joints.set_offsets(points.reshape(-1, 2))


def _chosen(frames: int, most: int) -> list[int]:
    """At most ``most`` evenly spaced frames, with the first and the last."""
    chosen: list[int] = np.linspace(0, frames - 1, min(frames, most)).round().astype(int).tolist()
    return chosen


def _new_figure(scene: _Scene, columns: int, rows: int, height: float, title: str) -> Figure:
    """A figure of ``rows * columns`` frames, ``height`` inches each, with a title and a legend."""
    wide, high = scene.high - scene.low
    frames = scene.points.shape[1]
    name_width = text_width(_frame_name(frames - 1, frames), "small")
    width = max(height * float(np.clip(wide / high, 0.3, 3)), name_width + 0.3)
    size = max(columns * width, 4.8), rows * (height + 0.25) + 1
    figure = Figure(figsize=size, dpi=100)
    set_title(figure, title)
    figure.legend(
        handles=_legend(scene),
        loc="outside lower center",
        ncols=len(SIDE_COLORS) + 2,
        handlelength=2,
        handletextpad=0.5,
        columnspacing=1.2,
    )
    return figure


def _legend(scene: _Scene) -> list[Line2D]:
    used = {*scene.lines.colors, *scene.lines.joint_colors}
    named: dict[str, tuple[str, float]] = {
        side: (color, _BONE_WIDTH) for side, color in SIDE_COLORS.items() if color in used
    }
    if EDGE_COLOR in used:
        named["other edges"] = EDGE_COLOR, _BONE_WIDTH
    if scene.floor_step:
        named[f"squares of {scene.floor_step:g}"] = _FAINT, 1.0
    return [
        Line2D([], [], color=color, linewidth=width, linestyle=_line_of(color), label=label)
        for label, (color, width) in named.items()
    ]


def _line_of(color: str) -> Any:
    """Line style of a colour: edges that are no bones are dashed."""
    return _EDGE_LINE if color == EDGE_COLOR else "-"


def _animate(file: Path, scene: _Scene, title: str, fps: int) -> None:
    frames = scene.points.shape[1]
    figure = _new_figure(scene, 1, 1, 4.5, title)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    poses = _Poses(axes, scene)
    label = axes.set_title(_frame_name(frames - 1, frames), fontsize="small")
    moving = (poses.lines, poses.joints, label)
    for artist in moving:
        artist.set_animated(True)
    # The background is drawn once: drawing it for each frame takes most of the time.
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    images: list[Image.Image] = []
    for frame in _chosen(frames, MAX_FRAMES):
        poses.show(frame)
        label.set_text(_frame_name(frame, frames))
        canvas.restore_region(still)
        for artist in moving:
            axes.draw_artist(artist)
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        # The first frame has all colours, in its legend.
        palette = images[0] if images else None
        images.append(image.quantize(64, palette=palette, dither=Image.Dither.NONE))
    images[0].save(file, save_all=True, append_images=images[1:], duration=1000 // fps, loop=0)


def _draw_strip(scene: _Scene, title: str) -> Figure:
    frames = scene.points.shape[1]
    chosen = _chosen(frames, NUM_POSES)
    wide, high = scene.high - scene.low
    rows = 1 if wide < 0.9 * high or len(chosen) < NUM_POSES else 2
    columns = len(chosen) // rows
    figure = _new_figure(scene, columns, rows, 2.6, title)
    grid: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, frame in zip(grid.flat, chosen, strict=True):
        _Poses(axes, scene).show(frame)
        axes.set_title(_frame_name(frame, frames), fontsize="small")
        axes.label_outer()
    return figure


def _frame_name(frame: int, frames: int) -> str:
    return f"frame {frame} of {frames}"
