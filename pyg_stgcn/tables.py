"""CSV tables and JSON records, written atomically."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pyg_stgcn.files import write_atomically
from pyg_stgcn.text import to_json


def write_json(path: Path, content: object) -> None:
    """Write indented JSON in printable characters, see :func:`~pyg_stgcn.text.to_json`.

    Raises:
        OSError: The file cannot be written.
    """
    text = to_json(content) + "\n"
    write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV table of rows by column name; a missing value is an empty field."""
    write_table(path, columns, ([row.get(name) for name in columns] for row in rows))


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV table of rows by position; column names need not be unique."""

    def write(file: Path) -> None:
        # Half a surrogate pair, which UTF-8 cannot encode, is written as an escape.
        with file.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
            writer = csv.writer(_LineFeeds(stream))
            writer.writerow(header)
            writer.writerows(rows)

    write_atomically(path, write)


class _LineFeeds:
    """A stream that replaces the CRLF of a CSV writer by LF.

    With another line ending, the writer would not quote carriage returns in fields.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")
