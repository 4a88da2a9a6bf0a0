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
#: Least width of a pose's place, and margin around it, as fractions of the height or width.
_NARROWEST, _MARGIN = 0.4, 0.08


def draw_clips(
    files: Files,
    clips: Mapping[str, Data],
    skeleton: Skeleton,
    *,
    has_score: bool,
    title: str,
) -> None:
    """Draw a strip of poses of each of several clips, such as one of each class.

    Poses look as in :func:`~pyg_stgcn.plots.clips.draw_clip`. Every strip has its own scale, and
    every pose is drawn in the middle of its place.

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
    seen = np.flatnonzero(np.isfinite(scene.points).any(axis=(0, 2, 3)))
    points = scene.points[:, seen[evenly_spaced(len(seen), _POSES)]]
    low, high = (extreme(points, axis=(0, 2)) for extreme in (np.nanmin, np.nanmax))
    # People may walk far: every pose is drawn in the middle of its place.
    width = float((high - low)[:, 0].max())
    size = max(width, float(np.ptp([low[:, 1].min(), high[:, 1].max()]))) or 1.0
    step = max(width, _NARROWEST * size) + _MARGIN * size
    points = points - np.stack([(low + high)[:, 0] / 2, np.zeros(len(low))], axis=1)[:, None]
    for place in range(points.shape[1]):
        shifted = points + [place * step, 0.0]
        Poses(axes, replace(scene, points=shifted)).show(place)
    axes.set_xlim(-step / 2, (points.shape[1] - 0.5) * step)
    ends = low[:, 1].min() - _MARGIN * size, high[:, 1].max() + _MARGIN * size
    axes.set_ylim(*(ends[::-1] if scene.y_down else ends))
    axes.set_axis_off()
