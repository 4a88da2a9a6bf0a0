"""Tables and records of a run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pyg_stgcn.files import write_atomically
from pyg_stgcn.text import to_json


def write_json(path: Path, content: object) -> None:
    text = to_json(content) + "\n"
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one line a row; a missing value is an empty field."""
    write_table(path, columns, ([row.get(name) for name in columns] for row in rows))


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows by position, so that columns may have any names, and two of them the same."""

    def write(file: Path) -> None:
        # What UTF-8 cannot hold, half a surrogate pair, is written as an escape.
        with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
            writer = csv.writer(_LineFeeds(stream))
            writer.writerow(header)
            writer.writerows(rows)

    write_atomically(path, write)


class _LineFeeds:
    """A stream for a CSV writer, which quotes carriage returns only if they end its lines."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")
