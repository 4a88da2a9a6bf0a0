"""The style of all figures: colours for the colour-blind, and marks that differ in grey too."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""The palette for the colour-blind of Okabe and Ito ("Color Universal Design", 2008), without its
yellow, which is hard to see on white. Matplotlib has it since 3.11 only, as ``okabe_ito``."""
SEQUENTIAL = "Blues"
"""The colour map of a fraction or a weight; its lightness alone shows the value."""
REFERENCE = "0.35"
"""The colour of what others are compared with, such as a dense network."""
GRID = "0.85"

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "ooo", "+++", "|||")
#: Most markers on a line; those of hundreds of epochs would hide it.
_MOST_MARKERS = 12

_STYLE: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.grid": True,
    "axes.grid.which": "both",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "figure.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "image.cmap": SEQUENTIAL,
    "legend.fontsize": "small",
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "pdf.fonttype": 42,  # Fonts that other programs can edit.
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
}


def figure_style() -> AbstractContextManager[Any]:
    """Context of the package's style; the user's own settings hold again after it.

    Figures are made, drawn and saved within the context.

    Example:
        >>> with figure_style():
        ...     figure = Figure()
    """
    # The defaults first, so that figures look the same in every session.
    context: AbstractContextManager[Any] = matplotlib.style.context(_STYLE, after_reset=True)
    return context


def line_style(number: int, points: int = 1) -> dict[str, Any]:
    """Colour, marker and line style of a series; they differ from those of its neighbours.

    Args:
        number: Of the series, from 0.
        points: Number of its points; of many, a few have a marker.
    """
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _LINES[number % len(_LINES)],
        "markevery": max(1, -(-points // _MOST_MARKERS)),
    }


def bar_style(number: int) -> dict[str, Any]:
    """Colour and hatch of the bars of a series; they differ from those of its neighbours."""
    return {
        "color": COLORS[number % len(COLORS)],
        "hatch": _HATCHES[number % len(_HATCHES)],
        "edgecolor": "white",
        "linewidth": 0.5,
    }


class _PlainFormatter(LogFormatter):
    """Numbers such as 0.7 at the ticks of a logarithmic axis, not 7 times a power of ten."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def log_axis(axis: Axis) -> None:
    """Make an axis logarithmic, with plain numbers at its ticks."""
    set_scale = axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
    set_scale("log")
    formatter = _PlainFormatter(minor_thresholds=(2, 0.5))
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(formatter)


def whole_numbers(axis: Axis) -> None:
    """Put the ticks of an axis at whole numbers, such as epochs."""
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def legend_beside(axes: Axes) -> None:
    """Put the legend of a figure's axes beside them, where it covers no data.

    Nothing happens if no artist has a label.
    """
    handles, labels = axes.get_legend_handles_labels()
    if handles and isinstance(axes.figure, Figure):
        axes.figure.legend(handles, labels, loc="outside right upper")
