"""Events as lines of JSON, and a live table of the present answers in a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from pyg_stgcn.cli._output import percent
from pyg_stgcn.progress import print_above_bars
from pyg_stgcn.text import count, printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from pyg_stgcn.poses.recording import Frame
    from pyg_stgcn.recognition import Event, Stream, StreamAnswer

#: Seconds from one drawing of the table to the next.
_INTERVAL = 0.1
#: Rows of the table.
_ROWS = 20


def print_event(event: Event) -> None:
    """Print an event as a line of JSON, which its reader gets at once."""
    line = json.dumps(event.row())
    # In one terminal, the line has its place above the table.
    if not (sys.stdout.isatty() and print_above_bars(line)):
        click.echo(line)


class LiveTable:
    """The present answers of a stream, and what has been seen.

    Args:
        stream: The stream.
        view: The place in the terminal; None without one.
        title: Title of the table.
    """

    def __init__(self, stream: Stream, view: Live | None, title: str) -> None:
        self._stream, self._view, self._title = stream, view, printable(title)
        self._start = self._drawn = time.monotonic()
        self.frames = self.dropped = self.events = 0

    def follow(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames; draw the answers to each before the next one."""
        for frame in frames:
            self.frames += 1
            self.dropped += frame.dropped
            yield frame
            now = time.monotonic()
            if self._view is not None and now - self._drawn >= _INTERVAL:
                self._drawn = now
                self._view.update(self._table(), refresh=True)

    def summary(self) -> str:
        """The numbers of frames, and how fast they were."""
        seconds = max(time.monotonic() - self._start, 1e-3)
        dropped = f", {count(self.dropped, 'frame')} dropped" if self.dropped else ""
        speed = f"{self.frames / seconds:,.1f} a second"
        return f"{count(self.frames, 'frame')}, {speed}{dropped}, {count(self.events, 'event')}"

    def _table(self) -> Group:
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in ("person", "answer", "probability", "event", "since"):
            table.add_column(name, justify="right" if name == "probability" else "left")
        answers = self._stream.answers
        for answer in answers[:_ROWS]:
            table.add_row(*(Text(printable(cell)) for cell in self._cells(answer)))
        if len(answers) > _ROWS:
            table.add_row(f"and {len(answers) - _ROWS:,} more")
        return Group(Text(f"{self._title}: {self.summary()}"), table)

    def _cells(self, answer: StreamAnswer) -> tuple[str, ...]:
        person = "all" if answer.track is None else str(answer.track)
        if answer.label is None:
            return person, "none yet", "", "", ""
        is_known = answer.probability >= self._stream.rules.threshold
        label = answer.label if is_known else "unknown"
        if (event := answer.event) is None:
            return person, label, percent(answer.probability), "", ""
        since = f"frame {event.first_frame:,}" if event.start is None else f"{event.start:.1f} s"
        return person, label, percent(answer.probability), event.label, since
