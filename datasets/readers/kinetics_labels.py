"""Classes of files in the format of Kinetics-skeleton: those of Kinetics-400, or somebody's own."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pyg_stgcn.datasets.readers.fields import text
from pyg_stgcn.datasets.readers.foreign_json import check_type, parse_object
from pyg_stgcn.datasets.readers.raw_files import RawFile, read_bytes
from pyg_stgcn.datasets.store.parallel import map_chunks
from pyg_stgcn.errors import InputError

#: Number of files that are looked at first, and fraction of them with a name of their own from
#: which on the classes are not those of Kinetics-400.
_SAMPLE, _OWN = 64, 0.1


class Classes(NamedTuple):
    """The classes of files in this format.

    Args:
        names: Class names in label order.
        numbers: Class number of each ``label_index``.
        own: Whether they are other classes than those of Kinetics-400.
    """

    names: Sequence[str]
    numbers: Mapping[int, int]
    own: bool

    def label(self, content: dict[str, Any], where: str) -> int:
        """The class number of a file.

        Args:
            content: What the file holds.
            where: Name of the file in an error.

        Raises:
            InputError: If it has none, or its ``label`` is not the name of this class.
        """
        index = check_type(content.get("label_index"), int, where, "label_index")
        name = content.get("label")
        if self.own and index not in self.numbers:
            raise InputError(
                f"{where}: has label_index {index}, but neither it nor another file has a label "
                "for this class; add it"
            )
        number = self.numbers.get(index, index)
        if name is None or not 0 <= number < len(self.names):
            return number
        if not _same(check_type(name, str, where, "label"), self.names[number]):
            raise InputError(
                f"{where}: has label {reprlib.repr(name)} and label_index {index}, which is "
                f"{self.names[number]!r}; correct the file or take it away"
            )
        return number


def find_classes(files: Mapping[str, RawFile], published: Sequence[str]) -> Classes:
    """Find out whether files have the classes of Kinetics-400, or which others they have.

    A few files tell the former; for the latter, all are read. Files that cannot be read are passed
    over.

    Args:
        files: The files by the names of their clips.
        published: Class names of Kinetics-400.

    Raises:
        InputError: If one ``label_index`` has two names.
    """
    every = list(files.values())
    sample = [every[i] for i in np.linspace(0, len(every) - 1, min(len(every), _SAMPLE), dtype=int)]
    labels = [label for label in _read_labels(sample) if label is not None]
    others = [
        (index, name)
        for index, name, _ in labels
        if not (0 <= index < len(published) and _same(name, published[index]))
    ]
    if len(others) <= _OWN * len(labels):
        return Classes(published, {}, own=False)
    names = _names_by_index(map_chunks(_read_labels, every))
    numbers = {index: number for number, index in enumerate(sorted(names))}
    return Classes([names[index] for index in numbers], numbers, own=True)


def _names_by_index(labels: Iterable[tuple[int, str, str] | None]) -> dict[int, str]:
    names: dict[int, tuple[str, str]] = {}
    for label in labels:
        if label is None:
            continue
        index, name, where = label
        other, other_where = names.setdefault(index, (name, where))
        if not _same(name, other):
            raise InputError(
                f"{where}: has label {reprlib.repr(name)} and label_index {index}, but in "
                f"{other_where} this is {reprlib.repr(other)}; give every class its own label_index"
            )
    return {index: name for index, (name, _) in names.items()}


def _read_labels(files: Sequence[RawFile]) -> list[tuple[int, str, str] | None]:
    return [_read_label(file) for file in files]


def _read_label(file: RawFile) -> tuple[int, str, str] | None:
    where = str(file)
    try:
        content = parse_object(read_bytes(file), where)
        index = check_type(content.get("label_index"), int, where, "label_index")
        return index, text(content.get("label"), f"{where}: label"), where
    except InputError:
        return None


def _same(name: str, other: str) -> bool:
    """Whether two names differ only in case, spaces and punctuation."""
    return _letters(name) == _letters(other)


def _letters(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())
