"""Division of the clips of a store into training, validation and test clips."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.reading import find_benchmarks
from pyg_stgcn.datasets.store.clip_store import ClipStore
from pyg_stgcn.datasets.store.duplicates import Copies
from pyg_stgcn.errors import InputError

Numbers = NDArray[np.int64]


class Divisions:
    """The benchmarks of a store.

    Args:
        store: The clips and their splits.
        name: The dataset, for errors.
        where: The source of the store if there is one, for errors.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
    """

    def __init__(
        self, store: ClipStore, name: str, where: Path | None, *, drop_leaks: bool
    ) -> None:
        self.parts = find_benchmarks(store.splits)
        self._store = store
        self._name = name
        self._where = where or name
        self._drop_leaks = drop_leaks

    @cached_property
    def copies(self) -> Copies:
        """The clips that are exact copies of others; looked for when it is first asked for."""
        return Copies(self._store)

    def choose(self, benchmark: str | None) -> str | None:
        """The benchmark of a name; the first one if there is none, and ``None`` if there are none.

        Raises:
            InputError: If there is no benchmark of this name.
        """
        if benchmark is None:
            return next(iter(self.parts), None)
        if benchmark not in self.parts:
            valid = ", ".join(self.parts) or "none, only split 'all'"
            raise InputError(
                f"benchmark {benchmark!r} does not exist in {self._name}; it has: {valid}"
            )
        return benchmark

    def sizes(self, benchmark: str) -> dict[str, int]:
        """Number of clips of each part of a benchmark: ``{"train": ..., "val": ...}``, and
        ``"test"`` where it is not the validation clips.
        """
        return {part: len(self._part(benchmark, part)) for part in self.parts[benchmark]}

    def leaks(self, benchmark: str) -> Numbers:
        """The validation clips of a benchmark that are copies of training clips of it."""
        return self._clips_of(benchmark, "val")[self._leaked(benchmark)]

    def validation_split(self, benchmark: str) -> str | None:
        """The name of the split that a benchmark has for validation, not for tests, if any."""
        name = self.parts[benchmark].get("val", "test")
        return None if _is_for_tests(name) else name

    def select(self, benchmark: str | None, split: str) -> Numbers:
        """Numbers of the clips of a split.

        Args:
            benchmark: One that :meth:`choose` has given.
            split: ``"train"``, ``"val"`` or ``"test"`` of the benchmark, ``"all"`` clips, or the
                name of a split of the source.

        Raises:
            InputError: If the store has no such split, or it is empty.
        """
        if split == "all":
            return np.arange(len(self._store))
        name = self._split_name(benchmark, split)
        if benchmark is not None and split == "val":
            selection = self._part(benchmark, split)
        else:
            selection = self._store.split(name)
        if not len(selection):
            raise InputError(f"{self._where}: split {name!r} is empty")
        return selection

    def _split_name(self, benchmark: str | None, split: str) -> str:
        """The name that a split has in the source."""
        parts = {} if benchmark is None else self.parts[benchmark]
        if split in parts:
            return parts[split]
        found = ", ".join(self._store.splits) or "none"
        if split not in ("train", "val"):
            if split in self._store.splits:
                return split
            # Where a benchmark has no other validation clips, they are its test clips.
            if split == "test" and _is_for_tests(parts.get("val", "")):
                return parts["val"]
            raise InputError(
                f"{self._where}: split {split!r} does not exist; choose one of "
                f"{', '.join(dict.fromkeys((*parts, *self._store.splits, 'all')))}"
            )
        remedy = (
            "to train on it, take clips for validation with --val-split 0.2 or from another file "
            "with --val FILE"
        )
        if benchmark is None:
            raise InputError(
                f"{self._where}: no division into training and validation clips (splits "
                f"found: {found}); {remedy}, or add splits named 'train' and 'val'; to read all "
                "clips, use split='all'"
            )
        if split == "train":
            remedy = "add the missing split"
        raise InputError(
            f"{self._where}: benchmark {benchmark!r} has no {split} clips (splits found: {found}); "
            f"{remedy}"
        )

    def _part(self, benchmark: str, part: str) -> Numbers:
        clips = self._clips_of(benchmark, part)
        if part == "val" and self._drop_leaks:
            return clips[~self._leaked(benchmark)]
        return clips

    def _leaked(self, benchmark: str) -> NDArray[np.bool_]:
        """Validation clips of a benchmark that are copies of its training clips."""
        train, val = (self._clips_of(benchmark, part) for part in ("train", "val"))
        return self.copies.are_among(val, train)

    def _clips_of(self, benchmark: str, part: str) -> Numbers:
        split = self.parts[benchmark].get(part)
        return np.empty(0, np.int64) if split is None else self._store.split(split)


def _is_for_tests(split: str) -> bool:
    return re.search(r"test\d*$", split) is not None
