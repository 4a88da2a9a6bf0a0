"""Figures of clips: an animation, or a strip of poses over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.files import write_atomically
from pyg_stgcn.plots.clip_scene import (
    SIDE_COLORS,
    Poses,
    Scene,
    evenly_spaced,
    joint_positions,
    make_lines,
    make_scene,
    scene_legend,
)
from pyg_stgcn.plots.figure_files import ANIMATION, CLIP_FORMATS, check_figure
from pyg_stgcn.plots.saving import save, set_title
from pyg_stgcn.plots.style import figure_style
from pyg_stgcn.plots.titles import missing_glyphs_reported, text_width
from pyg_stgcn.skeletons import Skeleton

MAX_FRAMES = 100
"""Most frames of an animation; of longer clips, this many evenly spaced frames are drawn."""
NUM_POSES = 8
"""Most poses of a strip."""


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
            twelve strongest other edges. See :func:`pyg_stgcn.nn.edge_strength`.
        fps: Frames per second of an animation.

    Shapes:
        - **clip.x:** :math:`(M \cdot V, T, C)`
        - **edge_weight:** :math:`(V, V)`, from joint to joint

    Raises:
        InputError: The name of the file has another ending, its folder does not exist, the clip or
            the graph does not fit the skeleton, or no joint is present.
    """
    check_figure(path, CLIP_FORMATS)
    lines = make_lines(skeleton, edge_weight)
    scene = make_scene(joint_positions(clip, skeleton, has_score), skeleton, lines)
    with figure_style():
        if path.suffix.lower() == ANIMATION:
            with missing_glyphs_reported(path):
                write_atomically(path, lambda file: _animate(file, scene, title, fps))
        else:
            save(_draw_strip(scene, title), path)


def _new_figure(scene: Scene, columns: int, rows: int, height: float, title: str) -> Figure:
    """A figure of ``rows * columns`` frames, ``height`` inches each, with a title and a legend."""
    wide, high = scene.high - scene.low
    frames = scene.points.shape[1]
    name_width = text_width(_frame_name(frames - 1, frames), "small")
    width = max(height * float(np.clip(wide / high, 0.3, 3)), name_width + 0.3)
    size = max(columns * width, 4.8), rows * (height + 0.25) + 1
    figure = Figure(figsize=size, dpi=100)
    set_title(figure, title)
    figure.legend(
        handles=scene_legend(scene),
        loc="outside lower center",
        ncols=len(SIDE_COLORS) + 2,
        handlelength=2,
        handletextpad=0.5,
        columnspacing=1.2,
    )
    return figure


def _animate(file: Path, scene: Scene, title: str, fps: int) -> None:
    frames = scene.points.shape[1]
    figure = _new_figure(scene, 1, 1, 4.5, title)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    poses = Poses(axes, scene)
    label = axes.set_title(_frame_name(frames - 1, frames), fontsize="small")
    moving = (poses.lines, poses.joints, label)
    for artist in moving:
        artist.set_animated(True)
    # The background is drawn once: drawing it for each frame takes most of the time.
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    images: list[Image.Image] = []
    for frame in evenly_spaced(frames, MAX_FRAMES):
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


def _draw_strip(scene: Scene, title: str) -> Figure:
    frames = scene.points.shape[1]
    chosen = evenly_spaced(frames, NUM_POSES)
    wide, high = scene.high - scene.low
    rows = 1 if wide < 0.9 * high or len(chosen) < NUM_POSES else 2
    columns = len(chosen) // rows
    figure = _new_figure(scene, columns, rows, 2.6, title)
    grid: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, frame in zip(grid.flat, chosen, strict=True):
        Poses(axes, scene).show(frame)
        axes.set_title(_frame_name(frame, frames), fontsize="small")
        axes.label_outer()
    return figure


def _frame_name(frame: int, frames: int) -> str:
    return f"frame {frame} of {frames}"
