"""What all figures of runs have in common."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_stgcn.files import write_atomically


def save(figure: Figure, path: Path) -> None:
    """Write a figure, as the kind of file that its name says."""
    FigureCanvasAgg(figure)
    write_atomically(path, lambda file: figure.savefig(file, dpi=120))
