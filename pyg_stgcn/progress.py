"""Lines and bars of progress."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pyg_stgcn.text import printable

T = TypeVar("T")

logger = logging.getLogger(__name__)


def tell(line: str) -> None:
    """Log a line of progress at level ``INFO``; the command line prints it to standard error.

    In Python, ``logging.basicConfig(level="INFO")`` shows these lines.
    """
    logger.info("%s", line)


def with_progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a progress bar if standard error is a terminal.

    Args:
        items: Items of any type.
        description: Text before the bar.
        total: Number of items (default: their length, if they have one).
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track

    text = escape(printable(description))
    yield from track(items, text, total=total, console=Console(stderr=True), transient=True)
