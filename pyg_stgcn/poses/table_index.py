"""Rows of a table of joints: where each begins, and which frame and person it holds.

A table may be longer than memory, and may have its rows in any order. So one pass notes the frames,
and the frames are then read in their order.
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_names import number_times
from pyg_stgcn.poses.table_columns import Columns

_DIGITS = re.compile(r"(\d+)\D*$")
#: Larger numbers are not exact.
_MAX_NUMBER = 2**53
_MISSING = {"", "nan", "none", "null", "na", "n/a", "-"}


@dataclass(frozen=True)
class Table:
    """A text file with a header and one row a person and frame.

    Args:
        path: The file.
        delimiter: What separates the columns.
        columns: Numbers of the columns.
        names: Names of the columns.
        start: Where the first row begins, in bytes.
        header_rows: Rows before it.
    """

    path: Path
    delimiter: str
    columns: Columns
    names: list[str]
    start: int
    header_rows: int

    def cells(self, line: bytes, row: int) -> list[str]:
        """The cells of a row.

        Raises:
            InputError: The row is not text, or has fewer cells than the header.
        """
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise InputError(
                f"{self.path}: row {row} is not text in UTF-8; save it again"
            ) from None
        cells = split_cells(text, self.delimiter)
        if len(cells) < len(self.names):
            raise InputError(
                f"{self.path}: row {row} has {len(cells)} cells, the header has {len(self.names)}; "
                "complete it, or remove it if the file was cut off"
            )
        return cells

    def numbers(self, line: bytes, row: int) -> NDArray[np.float64]:
        """The raw numbers of a row, as :math:`(M, V, K)`; NaN where a cell is empty.

        Raises:
            InputError: A cell is not a number.
        """
        cells = self.cells(line, row)
        values, persons, joints = self.columns[:3]
        try:
            numbers = [float(cells[column]) for column in values]
        except ValueError:
            numbers = [self.number(cells, column, row) for column in values]
        return np.array(numbers).reshape(persons, joints, -1)

    def number(self, cells: list[str], column: int, row: int) -> float:
        """The number in a cell, NaN if it is empty.

        Raises:
            InputError: The cell is neither.
        """
        cell = cells[column].strip()
        if cell.lower() in _MISSING:
            return float("nan")
        try:
            # A semicolon separates the columns where a comma is the decimal point.
            return float(cell.replace(",", ".") if self.delimiter != "," else cell)
        except ValueError:
            raise InputError(
                f"{self.path}: row {row}, column {self.names[column]!r} is {cell[:40]!r}, not a "
                "number; leave the cells of missing joints empty"
            ) from None


class Rows(NamedTuple):
    """The rows of one recording, by frame.

    Args:
        name: Name of the recording; empty if the table is one recording.
        numbers: Frame of every row, in ascending order.
        offsets: Where the row begins, in bytes.
        rows: Number of the row in the file, counted from 1, for errors.
        tracks: Identity of its person, -1 if unknown; None if the table has none.
    """

    name: str
    numbers: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    tracks: NDArray[np.int64] | None

    def frames(self) -> Iterator[tuple[int, slice]]:
        """Number and rows of every frame."""
        starts = np.flatnonzero(np.diff(self.numbers, prepend=self.numbers[0] - 1))
        ends = [*starts[1:].tolist(), len(self.numbers)]
        for start, end in zip(starts.tolist(), ends, strict=True):
            yield int(self.numbers[start]), slice(start, end)


class _Names:
    """The texts of a column, each kept once, and which of them every row has."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self._rows = array("q")

    def add(self, cell: str) -> None:
        """Note the text of the next row."""
        self._rows.append(self.places.setdefault(cell.strip(), len(self.places)))

    def rows(self) -> NDArray[np.int64]:
        """The text of every row, as its place among all texts."""
        return np.array(self._rows, np.int64)

    def identities(self) -> NDArray[np.int64]:
        """The number in every row, or the place of its text where not all are numbers."""
        numbers = {place: _identity(text) for text, place in self.places.items()}
        if None in numbers.values():
            numbers = {
                place: -1 if text.lower() in _MISSING else place
                for text, place in self.places.items()
            }
        return np.array([numbers[place] for place in self._rows], np.int64)


def _identity(text: str) -> int | None:
    """The number in a cell; -1 if it is empty, None if it is no number."""
    if text.lower() in _MISSING:
        return -1
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if abs(number) < _MAX_NUMBER else None


def split_cells(text: str, delimiter: str) -> list[str]:
    """The cells of a line; quoted cells may contain the delimiter."""
    if '"' in text:
        return next(csv.reader([text], delimiter=delimiter))
    return text.split(delimiter)


def index_rows(table: Table) -> list[Rows]:
    """Read frame, person and recording of all rows.

    Raises:
        InputError: A row has no frame number, or the table has no rows.
    """
    columns = table.columns
    offsets, rows, numbers, times = array("q"), array("q"), array("q"), array("d")
    tracks, clips = _Names(), _Names()
    with table.path.open("rb") as file:
        file.seek(table.start)
        offset = table.start
        for row, line in enumerate(file, table.header_rows + 1):
            if line.strip():
                cells = table.cells(line, row)
                offsets.append(offset)
                rows.append(row)
                if columns.time is not None:
                    times.append(_time(table, cells, columns.time, row))
                else:
                    numbers.append(_frame_number(table, cells, row, len(rows) - 1))
                if columns.person is not None:
                    tracks.add(cells[columns.person])
                if columns.clip is not None:
                    clips.add(cells[columns.clip])
            offset += len(line)
    if not rows:
        raise InputError(f"{table.path}: has a header, but no rows; write the file again")
    return _divide(
        np.array(numbers, np.int64) if columns.time is None else np.array(times),
        np.array(offsets, np.int64),
        np.array(rows, np.int64),
        tracks.identities() if columns.is_track else None,
        clips,
    )


def _divide(
    frames: NDArray[Any],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    tracks: NDArray[np.int64] | None,
    clips: _Names,
) -> list[Rows]:
    """The rows of every recording, sorted by frame.

    Where frames are times, those of each recording are numbered, with gaps where a time is missing.
    """
    several = len(clips.places) > 1
    order = np.argsort(frames, kind="stable")
    found = []
    for place, name in enumerate(clips.places) if several else [(0, "")]:
        kept = order[clips.rows()[order] == place] if several else order
        ids = None if tracks is None else tracks[kept]
        numbers = frames[kept]
        if numbers.dtype.kind == "f":
            times, places = np.unique(numbers, return_inverse=True)
            numbers = number_times(times)[0][places]
        found.append(Rows(name, numbers, offsets[kept], rows[kept], ids))
    return found


def _time(table: Table, cells: list[str], column: int, row: int) -> float:
    time = table.number(cells, column, row)
    if math.isfinite(time):
        return time
    raise InputError(
        f"{table.path}: row {row}, column {table.names[column]!r} has no time; complete it, or "
        "remove the row"
    )


def _frame_number(table: Table, cells: list[str], row: int, count: int) -> int:
    column = table.columns.frame
    if column is None:
        return count
    cell = cells[column].strip()
    try:
        number = float(cell)
    except ValueError:
        found = _DIGITS.search(cell.rpartition(".")[0] or cell)
        number = float(found[1]) if found else math.nan
    if abs(number) < _MAX_NUMBER and number.is_integer():
        return int(number)
    raise InputError(
        f"{table.path}: row {row}, column {table.names[column]!r} is {cell[:40]!r}, which has no "
        "frame number; number the frames"
    )
