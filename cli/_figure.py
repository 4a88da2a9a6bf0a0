"""The ``--figure`` option, the same in every command that draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from pyg_stgcn.cli._plain import option
from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.figure_files import FORMATS, check_figure


class FigureFile(click.ParamType):
    """The file of a figure, checked before the command begins its work.

    Args:
        formats: Endings that its name may have.
    """

    name = "figure"

    def __init__(self, formats: Sequence[str] = FORMATS) -> None:
        self.formats = formats

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        try:
            check_figure(path, self.formats)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return path


def figure_option(
    content: str, *, beside: str | None = None, formats: Sequence[str] = FORMATS, **more: Any
) -> Callable[[Any], Any]:
    """The option of a command that draws.

    Args:
        content: The content of the figure, for the help.
        beside: The file that the command writes without the option, too.
        formats: Endings that the name of the file may have.
        **more: Of :class:`click.Option`.
    """
    text = f"Draw {content} into FILE" + (f", besides {beside}." if beside else ".")
    metavar = f"FILE{'|'.join(formats)}".replace("|.", "|")
    return option("--figure", type=FigureFile(formats), metavar=metavar, help=text, **more)
