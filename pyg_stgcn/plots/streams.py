"""Figure of an evaluation on streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from pyg_stgcn.plots.saving import Files, new_figure
from pyg_stgcn.plots.style import bar_style, legend_beside, line_style
from pyg_stgcn.text import label

#: Segments of the time line that are drawn; names of more would not be legible.
_DRAWN_SEGMENTS = 12

Rows = Sequence[tuple[int, int, int]]
"""Class, first frame and frame after the last."""


def plot_stream(
    files: Files,
    fractions: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    lines: Mapping[str, Rows],
    classes: Sequence[str],
) -> None:
    """Plot the accuracy over the observed fraction of an action, and a time line of a recording.

    Args:
        files: The figure.
        fractions: Observed fractions.
        curves: Accuracy at each, by the label of the curve; an empty label is not shown.
        lines: Segments of the time line, by its name, true ones first.
        classes: Names, in label order.
    """
    with new_figure(files, 12, 4, "recognition in a stream") as figure:
        early, time = figure.subplots(1, 2, width_ratios=(1, 2))
        for number, (name, values) in enumerate(curves.items()):
            style = line_style(number, len(fractions))
            percent = [100 * value for value in values]
            observed = [100 * fraction for fraction in fractions]
            early.plot(observed, percent, label=label(name) if name else None, **style)
        early.set(
            xlabel="observed part of the action (%)",
            ylabel="right at this moment (%)",
            xlim=(0, 102),
            ylim=(0, 102),
        )
        legend_beside(early)
        _draw_lines(time, lines, classes)


def _draw_lines(axes: Axes, lines: Mapping[str, Rows], classes: Sequence[str]) -> None:
    """Draw the beginning of a recording."""
    first = next(iter(lines.values()), [])[:_DRAWN_SEGMENTS]
    last = max((end for _, _, end in first), default=1)
    for row, segments in enumerate(lines.values()):
        for number, start, end in segments:
            if start < last:
                axes.barh(row, min(end, last) - start, left=start, **bar_style(number))
                axes.text(
                    (start + min(end, last)) / 2,
                    row,
                    label(classes[number], most=24),
                    rotation=90,
                    ha="center",
                    va="center",
                    fontsize="xx-small",
                    parse_math=False,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                )
    axes.set_yticks(range(len(lines)), list(lines))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="frame", ylabel="in the recording", xlim=(0, last))
