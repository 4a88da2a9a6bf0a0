"""What the commands print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click


def print_json(content: object) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    texts: int = 1,
) -> None:
    """Print a table to standard output; the first :obj:`texts` columns are flush left."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console, ConsoleRenderable
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        # Eighty columns, which rich assumes for a pipe, would break long names.
        console.width = 160
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number < texts else "right", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, ConsoleRenderable) else str(cell) for cell in row))
    console.print(table)


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"
