"""Lines and bars of progress."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TypeVar

from pyg_stgcn.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.progress import Progress

T = TypeVar("T")
View = TypeVar("View", "Live", "Progress")

logger = logging.getLogger(__name__)

#: Seconds to the first line about a long piece of work in a log, and between two of them.
FIRST, INTERVAL = 5.0, 30.0

#: Consoles with bars, which other output would tear apart.
_live: list[Console] = []


def tell(line: str) -> None:
    """Log a line of progress at level ``INFO``; the command line prints it to standard error.

    In Python, ``logging.basicConfig(level="INFO")`` shows these lines.
    """
    logger.info("%s", line)


def in_terminal() -> bool:
    """Whether standard error is a terminal that can show a bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(90), duration(5_400), duration(200_000)
        ('90 s', '90 min', '56 h')
    """
    if seconds >= 6_000:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


class Pace:
    """The speed of some work, and the time to its end.

    Args:
        total: Amount of work in all, in any unit.
        done: Amount that was done before.
        clock: Gives the time in seconds.
    """

    def __init__(
        self, total: float, done: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.done = self._first = done
        self._clock = clock
        self._start = self._line = clock()
        self._wait = FIRST

    def restart(self) -> None:
        """Measure the speed from now on: the first step also pays for the preparation."""
        self._start, self._first = self._clock(), self.done

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    @property
    def left(self) -> float | None:
        """Estimated seconds to the end; ``None`` before any work has been done."""
        if self.done <= self._first:
            return None
        return max(0.0, self.total - self.done) * self.elapsed / (self.done - self._first)

    def is_time_for_a_line(self) -> bool:
        """Whether no line was told for :data:`FIRST` seconds, or :data:`INTERVAL` after a line."""
        return self._clock() - self._line >= self._wait

    def tell(self, line: str) -> None:
        """As :func:`tell`; the next line is due :data:`INTERVAL` later."""
        tell(line)
        self._line, self._wait = self._clock(), INTERVAL


def with_progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar in a terminal and a line from time to time elsewhere.

    Args:
        items: Items of any type.
        description: Text before the bar, and at the start of the lines.
        total: Number of items (default: their length, if they have one).
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if not in_terminal():
        yield from _with_lines(items, description, total)
        return
    from rich.markup import escape
    from rich.progress import Progress

    with _shown(Progress(console=_console(), transient=True)) as progress:
        yield from progress.track(items, total, description=escape(printable(description)))


def _with_lines(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    pace = Pace(total or 0)
    for item in items:
        yield item
        pace.done += 1
        if pace.is_time_for_a_line() and pace.done != total:
            left = "" if total is None else f" of {total:,}, {duration(pace.left or 0)} left"
            pace.tell(f"{description}: {pace.done:,.0f}{left}")


@contextlib.contextmanager
def bars() -> Iterator[Progress | None]:
    """Bars at the bottom of a terminal; ``None`` where standard error is none.

    A task has a field ``status``, a text after its bar.
    """
    if not in_terminal():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    # Names of files may look like markup.
    texts = [
        TextColumn(f"{{task.{field}}}", markup=False) for field in ("description", "fields[status]")
    ]
    columns = texts[0], BarColumn(), texts[1]
    with _shown(Progress(*columns, console=_console(), transient=True)) as progress:
        yield progress


@contextlib.contextmanager
def live_view() -> Iterator[Live | None]:
    """A view at the bottom of a terminal, to be updated; ``None`` where standard error is none."""
    if not in_terminal():
        yield None
        return
    from rich.live import Live

    view = Live(console=_console(), transient=True, auto_refresh=False, redirect_stdout=False)
    with _shown(view):
        yield view


@contextlib.contextmanager
def transfer(name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """Progress of a download, as of :func:`with_progress`.

    Args:
        name: Name of the file.
        total: Its bytes, if known.
        done: Bytes that were fetched before.

    Yields:
        A function that takes the number of new bytes.
    """
    pace = Pace(total or 0, done)
    with bars() as progress:
        task = None if progress is None else progress.add_task(name, total=total, status="")

        def advance(new: int) -> None:
            pace.done += new
            status = f"{pace.done / 1e6:,.0f} MB"
            if total is not None:
                status += f" of {total / 1e6:,.0f} MB, {duration(pace.left or 0)} left"
            if progress is not None and task is not None:
                progress.update(task, completed=pace.done, status=status)
            elif pace.is_time_for_a_line() and pace.done != total:
                pace.tell(f"downloading {name}: {status}")

        yield advance


@contextlib.contextmanager
def _shown(view: View) -> Iterator[View]:
    _live.append(view.console)
    try:
        with view:
            yield view
    finally:
        _live.remove(view.console)


def print_above_bars(line: str) -> bool:
    """Print a line above the bars; return whether there are any."""
    if not _live:
        return False
    from rich.text import Text

    _live[-1].print(Text(line), soft_wrap=True)
    return True


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)
