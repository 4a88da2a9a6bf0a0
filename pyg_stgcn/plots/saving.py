"""Saving of figures."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_stgcn.files import write_atomically
from pyg_stgcn.plots.titles import missing_glyphs_reported


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending of the name selects the format."""
    FigureCanvasAgg(figure)
    with missing_glyphs_reported(path):
        write_atomically(path, lambda file: figure.savefig(file, dpi=120))
