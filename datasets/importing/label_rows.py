"""The file of labels: one line for a recording, a part of it, or a person in it."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import read_text
from pyg_stgcn.text import suggestion

COLUMNS = ("name", "label", "split", "start", "end", "first_frame", "last_frame", "person")
_REMEDY = (
    "give a CSV file whose first line is name,label, with further columns split; start,end "
    "(seconds) or first_frame,last_frame; person where they are needed"
)
_SEPARATORS = ",;\t"
_MAX_BYTES = 64 << 20
#: Seconds or number of a frame.
_LARGEST = 1e12
#: Similarity from which on a column is taken for a mistyped one, not for one of the user's own.
_MISTYPED = 0.75


class Span(NamedTuple):
    """Part of a recording.

    Args:
        start: Seconds, or the number of the first frame.
        end: Seconds, not part of it any more; or the number of the last frame, which is.
        in_seconds: Whether these are seconds.
    """

    start: float
    end: float
    in_seconds: bool

    def __str__(self) -> str:
        unit = "seconds" if self.in_seconds else "frames"
        return f"{unit} {self.start:g} to {self.end:g}"


class LabelRow(NamedTuple):
    """A line of the file.

    Args:
        line: Its number.
        name: Name of a recording, with or without the folders above it and its ending.
        label: Name of the class; None if it is not known.
        split: Name of the split, if the file names one.
        span: The part of the recording; None for all of it.
        person: Number of the person; None for all of them.
    """

    line: int
    name: str
    label: str | None
    split: str | None
    span: Span | None
    person: int | None


@dataclass(frozen=True)
class Labels:
    """All lines of a file of labels, found by the names of recordings."""

    path: Path
    rows: list[LabelRow]

    @cached_property
    def _by_last_part(self) -> dict[str, list[tuple[tuple[str, ...], LabelRow]]]:
        found: dict[str, list[tuple[tuple[str, ...], LabelRow]]] = {}
        for row in self.rows:
            parts = PurePosixPath(row.name.replace("\\", "/")).parts
            found.setdefault(parts[-1], []).append((parts[:-1], row))
        return found

    def of(self, parts: Sequence[str], file_name: str) -> list[LabelRow]:
        """The lines of one recording.

        Args:
            parts: The folders above the recording, and its name without ending.
            file_name: Its name with the ending.
        """
        return [
            row
            for last in dict.fromkeys((parts[-1], file_name))
            for folders, row in self._by_last_part.get(last, ())
            # The shorter of the two paths is the end of the longer one.
            if all(one == other for one, other in zip(folders[::-1], parts[-2::-1], strict=False))
        ]

    @property
    def have_splits(self) -> bool:
        """Whether a line names a split."""
        return any(row.split is not None for row in self.rows)

    @property
    def have_persons(self) -> bool:
        """Whether a line names a person."""
        return any(row.person is not None for row in self.rows)


def read_labels(path: Path) -> Labels:
    """Read a CSV file of labels.

    Columns are separated by commas, semicolons or tabs. Other columns than :data:`COLUMNS` are not
    used.

    Raises:
        InputError: If the file is none, or a line lacks a name or has a value that is not valid.
    """
    text = read_text(path, _REMEDY, max_bytes=_MAX_BYTES).removeprefix("\ufeff")
    lines = text.splitlines()
    head = lines[0] if lines else ""
    separator = max(_SEPARATORS, key=head.count)
    try:
        reader = csv.DictReader(lines, delimiter=separator, strict=True)
        columns = [column.strip().lower() for column in reader.fieldnames or ()]
        _check_columns(path, columns)
        reader.fieldnames = columns
        rows = [
            _read_row(path, reader.line_num, fields)
            for fields in reader
            if any(fields.values())  # Spreadsheets write empty lines as separators alone.
        ]
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV file ({error}); {_REMEDY}") from None
    if not rows:
        raise InputError(f"{path}: has no lines below the first; {_REMEDY}")
    return Labels(path, rows)


def _check_columns(path: Path, columns: list[str]) -> None:
    for needed in ("name", "label"):
        if needed not in columns:
            raise InputError(f"{path}: the first line names no column {needed!r}; {_REMEDY}")
    for one, other in (("start", "end"), ("first_frame", "last_frame")):
        if (one in columns) != (other in columns):
            raise InputError(f"{path}: {one} and {other} belong together; {_REMEDY}")
    for column in columns:
        if column in COLUMNS and columns.count(column) > 1:
            raise InputError(f"{path}: there are two columns {column!r}; leave one out")
        if column not in COLUMNS and get_close_matches(column[:40], COLUMNS, 1, _MISTYPED):
            raise InputError(
                f"{path}: the column {column!r} is not known{suggestion(column, COLUMNS)}; give it "
                "this name, or one that is not so similar"
            )


def _read_row(path: Path, line: int, fields: Mapping[str | None, str | None]) -> LabelRow:
    where = f"{path}: line {line}"
    if None in fields or None in fields.values():
        raise InputError(f"{where} has more or fewer fields than the first line; correct it")
    values = {column: (fields.get(column) or "").strip() for column in COLUMNS}
    if not values["name"].strip("/\\."):
        raise InputError(f"{where} has no name; write the name of a recording")
    spans = [
        Span(*_limits(where, values, *ends), ends[0] == "start")
        for ends in (("start", "end"), ("first_frame", "last_frame"))
        if any(values[end] for end in ends)
    ]
    if len(spans) > 1:
        raise InputError(f"{where} has seconds and frames; leave one of the two empty")
    person = values["person"]
    if person and not (person.isdecimal() and len(person) < 10):
        raise InputError(f"{where} has person {person!r}; write the number of a track")
    return LabelRow(
        line=line,
        name=values["name"],
        label=values["label"] or None,
        split=values["split"] or None,
        span=spans[0] if spans else None,
        person=int(person) if person else None,
    )


def _limits(where: str, values: Mapping[str, str], first: str, last: str) -> tuple[float, float]:
    start, end = (_number(where, name, values[name]) for name in (first, last))
    if start > end:
        raise InputError(f"{where} ends before it starts ({start:g}, {end:g}); correct it")
    return start, end


def _number(where: str, name: str, text: str) -> float:
    in_seconds = name in ("start", "end")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (abs(number) <= _LARGEST and (in_seconds or number.is_integer())):
        kind = "seconds" if in_seconds else "a frame number"
        raise InputError(f"{where} has {name} {text!r}; write {kind}")
    return number
