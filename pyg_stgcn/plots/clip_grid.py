"""A figure of many clips: a strip of poses for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch_geometric.data import Data

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
from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.text import label

MAX_CLIPS = 24
"""Most clips of a figure; of more, this many are chosen evenly."""
#: Poses of a strip, clips of a column, and size of a strip in inches.
_POSES, _ROWS, _WIDTH, _HEIGHT = 6, 8, 5.2, 1.5


def draw_clips(
    files: Files,
    clips: Mapping[str, Data],
    skeleton: Skeleton,
    *,
    has_score: bool,
    title: str,
) -> None:
    """Draw a strip of poses of each of several clips, such as one of each class.

    Poses look as in :func:`~pyg_stgcn.plots.clips.draw_clip`. Every strip has its own scale.

    Args:
        files: The figure.
        clips: At most :data:`MAX_CLIPS` clips of a dataset, by the texts above their strips.
        skeleton: Their skeleton.
        has_score: Whether they are 2-D with the channels x, y, score.
        title: Text above the figure.

    Raises:
        InputError: As :func:`~pyg_stgcn.plots.clips.draw_clip`.
    """
    lines = make_lines(skeleton, None)
    scenes = {
        name: make_scene(joint_positions(clip, skeleton, has_score), skeleton, lines)
        for name, clip in clips.items()
    }
    columns = -(-len(scenes) // _ROWS)
    rows = -(-len(scenes) // columns)
    with new_figure(files, columns * _WIDTH, rows * _HEIGHT + 0.9, title) as figure:
        grid: Any = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        # Class after class, down the columns.
        for axes, (name, scene) in zip(grid.T.flat, scenes.items(), strict=False):
            _draw_strip(axes, replace(scene, floor=scene.floor[:0], floor_step=0.0))
            axes.set_title(label(name, 70), fontsize="small", loc="left")
            axes.set_anchor("W")
        first = replace(next(iter(scenes.values())), floor_step=0.0)
        figure.legend(
            handles=scene_legend(first), loc="outside lower center", ncols=len(SIDE_COLORS)
        )


def _draw_strip(axes: Axes, scene: Scene) -> None:
    """Draw poses of a clip side by side in the same axes."""
    chosen = evenly_spaced(scene.points.shape[1], _POSES)
    step = np.array([scene.high[0] - scene.low[0], 0.0])
    for place, frame in enumerate(chosen):
        Poses(axes, replace(scene, points=scene.points + place * step)).show(frame)
    axes.set_xlim(scene.low[0], scene.low[0] + len(chosen) * step[0])
    axes.set_axis_off()
