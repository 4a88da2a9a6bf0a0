"""Figures of predictions: probabilities over time, of single clips, or answers counted by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import COLORS, bar_style, legend_beside, line_style
from pyg_stgcn.text import count, label

MOST_PANELS = 8
"""Most recordings or persons that a figure over time shows, one below the other."""
MOST_CLIPS = 16
"""Most clips whose probabilities are shown one by one."""
_MOST_LINES, _LEAST_LINES = len(COLORS), 4
_MOST_BARS = 60


class Timeline(NamedTuple):
    """Probabilities of the windows of a recording, or of one person in it.

    Args:
        name: Name for its panel.
        times: Middle of every window ``[W]``, in seconds or frames.
        probabilities: Probabilities of all classes ``[W, classes]``; zeros where nobody is there.
    """

    name: str
    times: NDArray[np.float64]
    probabilities: NDArray[np.float32]


def plot_over_time(
    files: Files, timelines: Sequence[Timeline], classes: Sequence[str], unit: str
) -> None:
    """Plot the probabilities of the classes that are the most probable ones at some time.

    Args:
        files: The figure.
        timelines: A panel each; the first :data:`MOST_PANELS` are shown.
        classes: Names, in label order.
        unit: Of the times, for the axis.
    """
    shown = timelines[:MOST_PANELS]
    title = "probabilities over time"
    if len(timelines) > len(shown):
        title += f", the first {len(shown)} of {len(timelines)}"
    lines = _classes_to_draw(shown)
    with new_figure(files, 9, 1.2 + 2.1 * len(shown), title) as figure:
        panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for axes, timeline in zip(panels, shown, strict=True):
            _draw_timeline(axes, timeline, lines, classes)
            axes.set(xlabel=f"time ({unit})", ylabel="probability (%)", ylim=(-2, 102))
            axes.set_title(label(timeline.name, most=80), parse_math=False)
        legend_beside(panels[0])


def _classes_to_draw(timelines: Sequence[Timeline]) -> list[int]:
    """The classes that are the most probable ones in most windows, and a few others if few are."""
    best = Counter(
        int(number)
        for line in timelines
        for number in line.probabilities[line.probabilities.any(axis=1)].argmax(axis=1)
    )
    highest = np.concatenate([line.probabilities for line in timelines]).max(axis=0)
    chosen = [number for number, _ in best.most_common(_MOST_LINES)]
    others = [number for number in np.argsort(-highest).tolist() if number not in chosen]
    return chosen + others[: max(_LEAST_LINES - len(chosen), 0)]


def _draw_timeline(
    axes: Axes, timeline: Timeline, lines: Sequence[int], classes: Sequence[str]
) -> None:
    # A gap where nobody is there.
    seen = timeline.probabilities.any(axis=1, keepdims=True)
    values = np.where(seen, 100 * timeline.probabilities, np.nan)
    for place, number in enumerate(lines):
        style = line_style(place, len(values))
        axes.plot(timeline.times, values[:, number], label=label(classes[number]), **style)


def plot_clips(files: Files, tops: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> None:
    """Plot the most probable classes of a few clips as bars.

    Args:
        files: The figure.
        tops: Name of each clip, and its classes with their probabilities, the most probable first.
    """
    rows = [max(len(top), 1) for _, top in tops]
    height = 1.2 + 0.28 * sum(rows) + 0.5 * len(rows)
    with new_figure(files, 7, height, "most probable classes") as figure:
        panels = figure.subplots(len(rows), 1, squeeze=False, height_ratios=rows, sharex=True)
        for axes, (name, top) in zip(panels[:, 0], tops, strict=True):
            axes.set_title(label(name, most=80), parse_math=False, loc="left")
            axes.grid(visible=False, axis="y")
            for row, (_, probability) in enumerate(top):
                bars = axes.barh(row, 100 * probability, **bar_style(int(row > 0)))
                axes.bar_label(bars, fmt="%.1f", padding=3, fontsize="small")
            axes.set_yticks(range(len(top)), [label(found) for found, _ in top])
            axes.set(xlim=(0, 112), ylabel="class")
            axes.invert_yaxis()
            if not top:
                axes.text(0.5, 0, "nobody", va="center")
        panels[-1, 0].set_xlabel("probability (%)")


def plot_counts(files: Files, answers: Sequence[str]) -> None:
    """Plot how many clips have each answer; of many answers, the most frequent ones.

    Args:
        files: The figure.
        answers: The answer to every clip.
    """
    counts = Counter(answers).most_common(_MOST_BARS)
    height = 1.2 + 0.28 * len(counts)
    title = f"answers to {count(len(answers), 'clip')}"
    if (different := len(set(answers))) > len(counts):
        title += f", the {len(counts)} most frequent of {different}"
    with new_figure(files, 7, height, title) as figure:
        axes = figure.subplots()
        bars = axes.barh(range(len(counts)), [number for _, number in counts], **bar_style(0))
        axes.bar_label(bars, padding=3, fontsize="small")
        axes.set_yticks(range(len(counts)), [label(name) for name, _ in counts])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set(xlabel="clips", ylabel="answer")
