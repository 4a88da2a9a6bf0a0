"""Making and saving of figures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_stgcn.files import write_atomically
from pyg_stgcn.plots.figure_files import check_figure
from pyg_stgcn.plots.style import figure_style
from pyg_stgcn.plots.titles import fit_title, missing_glyphs_reported
from pyg_stgcn.text import printable

Files: TypeAlias = "str | Path | Sequence[Path | None]"
"""A file, or several of one figure, such as a PDF beside the PNG; ``None`` is skipped."""


@contextlib.contextmanager
def new_figure(files: Files, width: float, height: float, title: str) -> Iterator[Figure]:
    """Make an empty figure in the style of the package, and save it at the end of the context.

    Args:
        files: The ending of a name selects the format.
        width: In inches.
        height: In inches.
        title: Above the figure; long lines are broken.

    Raises:
        InputError: The name of a file has another ending, or its folder does not exist.
    """
    if isinstance(files, (str, Path)):
        files = [Path(files)]
    paths = [path for path in files if path is not None]
    for path in paths:
        check_figure(path)
    with figure_style():
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)  # No display is needed.
        set_title(figure, title)
        yield figure
        for path in paths:
            save(figure, path)


def set_title(figure: Figure, title: str) -> None:
    """Set the title of a figure; long lines are broken, and nothing is taken for a formula."""
    fitted = fit_title(printable(title, keep="\n"), "medium", figure.get_figwidth() - 0.3)
    figure.suptitle(fitted, parse_math=False)


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending of the name selects the format."""
    with missing_glyphs_reported(path), figure_style():
        write_atomically(path, lambda file: figure.savefig(file))
