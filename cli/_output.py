"""Output of the commands: lines, tables and JSON."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pyg_stgcn.cli._messages import flags_of, with_flags
from pyg_stgcn.progress import logger as progress
from pyg_stgcn.progress import print_above_bars
from pyg_stgcn.text import joined, printable, to_json

if TYPE_CHECKING:
    from rich.console import Console


def echo(text: str, *, err: bool = False) -> None:
    """Print lines; control characters from files cannot steer the terminal."""
    click.echo(printable(text, keep="\n\t"), err=err)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        line = printable(_in_flags(record), keep="\n\t")
        if not print_above_bars(line):
            click.echo(line, err=True)


def _in_flags(record: logging.LogRecord) -> str:
    """The text of a record; a warning names the options of the command."""
    context = click.get_current_context(silent=True)
    if context is None or record.levelno < logging.WARNING:
        return record.getMessage()
    return with_flags(record.getMessage(), flags_of(context.command))


@contextlib.contextmanager
def logged_lines() -> Iterator[None]:
    """Print warnings and progress of the package to standard error within the context."""
    logger, lines = logging.getLogger("pyg_stgcn"), _Lines()
    level = progress.level
    logger.addHandler(lines)
    progress.setLevel(logging.INFO)
    try:
        yield
    finally:
        progress.setLevel(level)
        logger.removeHandler(lines)


def print_json(content: object) -> None:
    click.echo(to_json(content))


def _console() -> Console:
    """A console that raises the error if the reader of its output has gone; rich's would exit."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise

    return Output()


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    texts: int = 1,
) -> None:
    """Print a table to standard output; the first :obj:`texts` columns are flush left."""
    from rich.box import SIMPLE_HEAD
    from rich.console import ConsoleRenderable
    from rich.table import Table
    from rich.text import Text

    console = _console()
    if not console.is_terminal:
        # Rich assumes 80 columns for a pipe, which would break long names.
        console.width = 160
    # Rich would read a str as markup and drop the words in square brackets.
    plain = title if title is None else Text(printable(title), style="table.title")
    table = Table(title=plain, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(header):
        side: Literal["left", "right"] = "left" if number < texts else "right"
        table.add_column(Text(printable(name)), justify=side, overflow="fold")
    for row in rows:
        table.add_row(
            *(
                cell if isinstance(cell, ConsoleRenderable) else Text(printable(cell))
                for cell in row
            )
        )
    console.print(table)


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def with_deviation(row: Mapping[str, Any]) -> str:
    """``top1`` of a row, with its ``top1_deviation`` if it has one."""
    top1 = percent(row["top1"])
    if row["top1_deviation"] is not None:
        top1 += f" ± {100 * row['top1_deviation']:.2f}"
    return top1


def difference(row: Mapping[str, Any], name: str = "difference") -> str:
    """A difference of a row in percentage points, with its interval if it has one."""
    shown = "" if row[name] is None else f"{100 * row[name]:+.2f}"
    if row[f"{name}_low"] is not None:
        low, high = 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]
        shown += f" ({low:+.2f} to {high:+.2f})"
    return shown


def print_subsets(rows: list[dict[str, Any]]) -> None:
    """Print the accuracy of every subset of the experts."""
    print_table(
        (
            *("experts", "sparsities", "classifier"),
            *("kept", "of all parameters", "top-1", "mean class"),
        ),
        [
            (
                "+".join(map(str, row["experts"])),
                "+".join(f"{level:g}" for level in row["levels"]),
                row["head"],
                f"{row['kept']:.3f}",
                f"{row['params_kept']:.3f}",
                percent(row["top1"]),
                percent(row["mean_class"]),
            )
            for row in rows
        ],
        texts=3,
    )


def sparsity_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kept weights of a run: of the maskable ones, and of all parameters."""
    kept = f"{summary['maskable_kept']:,} ({percent(1 - summary['sparsity'])})"
    return [
        ("maskable weights", f"{summary['params_maskable']:,}"),
        ("kept of them", kept),
        ("sparsity", percent(summary["sparsity"])),
        ("kept of all parameters", percent(summary["params_kept_fraction"])),
        *_assembly_rows(summary.get("assembly")),
    ]


def _assembly_rows(summary: dict[str, Any] | None) -> list[tuple[str, str]]:
    if summary is None:
        return []
    return [
        ("kept weights, in one expert's", f"{summary['kept_of_one']:.3f}"),
        ("kept parameters, in one dense model's", f"{summary['params_kept_of_one']:.3f}"),
    ]


def _temperature_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    clips = summary.get("temperature_clips")
    return [("temperature", f"{summary['temperature']:.3f} (of {clips:,} clips)")] if clips else []


def print_summary(summary: Mapping[str, Any], folder: Path) -> None:
    """Print the result of a training."""
    from pyg_stgcn.runs.run_files import RunFiles

    print_table(
        ("", "value"),
        [
            ("top-1", percent(summary["top1"])),
            ("top-5", percent(summary["top5"])),
            ("mean class", percent(summary["mean_class"])),
            ("views", summary["views"]),
            ("parameters", f"{summary['params_total']:,}"),
            *sparsity_rows(summary),
            *_temperature_rows(summary),
            ("epochs", summary["epochs"]),
            ("seconds", summary["seconds"]),
        ],
        title=joined(summary["dataset"], summary["benchmark"]),
    )
    echo(f"run: {folder}\ncurves: {RunFiles(folder).curves}")
