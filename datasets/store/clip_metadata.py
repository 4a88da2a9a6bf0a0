"""Metadata of the clips of a dataset, read without their coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_stgcn.datasets.store.clip_store import ClipStore
from pyg_stgcn.datasets.store.divisions import Divisions
from pyg_stgcn.datasets.store.person_items import item_name, one_person


class ClipMetadata:
    """Base class of a dataset that has a store, and a selection of its clips."""

    classes: list[str]
    _store: ClipStore
    _selection: NDArray[np.int64]
    #: Numbers of the store's classes in :attr:`classes`, where these are not the same.
    _class_numbers: torch.Tensor | None = None
    #: Number of the person of every item in its clip; ``None`` where an item is a whole clip.
    _persons: NDArray[np.int64] | None = None

    if TYPE_CHECKING:

        @property
        def _divisions(self) -> Divisions: ...
        def indices(self) -> Sequence[int]: ...

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def num_channels(self) -> int:
        """Number of channels of a joint in the store, before :obj:`transform`."""
        return self._store.num_channels

    @property
    def has_score(self) -> bool:
        """Whether the last channel is the score of a 2-D joint."""
        return bool(self._store.meta["has_score"])

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of the divisions into training and validation clips."""
        return tuple(self._divisions.parts)

    def split_sizes(self, benchmark: str) -> dict[str, int]:
        """Number of clips of each part of a benchmark: ``{"train": ..., "val": ...}``, and
        ``"test"`` where it is not the validation clips.
        """
        return self._divisions.sizes(benchmark)

    def validation_split(self, benchmark: str) -> str | None:
        """The name of the split that a benchmark has for validation, not for tests, if any."""
        return self._divisions.validation_split(benchmark)

    @property
    def splits(self) -> dict[str, int]:
        """Number of clips of every split, by its name in the source."""
        return {name: len(self._store.split(name)) for name in self._store.splits}

    @property
    def skipped(self) -> dict[str, str]:
        """Why clips of the source are not in the dataset, by name."""
        return dict(self._store.meta["skipped"])

    @property
    def duplicates(self) -> list[list[str]]:
        """Names of the clips that have exactly the same coordinates, in the whole dataset."""
        return [[self._store.name(i) for i in same] for same in self._divisions.copies.groups()]

    def leaks(self, benchmark: str) -> list[str]:
        """Names of the validation clips of a benchmark that are exact copies of, or are themselves,
        training clips of it.
        """
        return [self._store.name(i) for i in self._divisions.leaks(benchmark).tolist()]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the selected clips; -1 of one whose class is not known."""
        labels = self._store.labels[self._selected]
        return labels if self._class_numbers is None else self._class_numbers.numpy()[labels]

    @property
    def y(self) -> torch.Tensor:
        """Labels of the selected clips, as one tensor :math:`(N)`, before :obj:`transform`."""
        return torch.from_numpy(self.labels)

    @property
    def names(self) -> list[str]:
        """Names of the selected clips; with one item a person, ``NAME#0``, ``NAME#1``, ..."""
        names = [self._store.name(i) for i in self._selected]
        if self._persons is None:
            return names
        persons = self._persons[np.asarray(self.indices(), np.int64)]
        return [item_name(*item) for item in zip(names, persons.tolist(), strict=True)]

    @property
    def checksums(self) -> NDArray[np.uint32]:
        """CRC-32 of the stored coordinates of the selected clips, all persons together."""
        return self._store.checksums[self._selected]

    @property
    def originals(self) -> NDArray[np.int64]:
        """For each selected clip, the number of the first one with the same coordinates."""
        return self._divisions.copies.originals(self._selected)

    @property
    def num_frames(self) -> NDArray[np.int64]:
        """Numbers of frames of the selected clips, before :obj:`transform`."""
        if self._persons is None:
            return self._store.num_frames[self._selected]
        items = zip(
            self._selected, self._persons[np.asarray(self.indices(), np.int64)], strict=True
        )
        lengths = [one_person(self._store[i], p).keypoint.shape[1] for i, p in items]
        return np.array(lengths, np.int64)

    @property
    def num_persons(self) -> NDArray[np.int64]:
        """Numbers of persons of the selected clips, before :obj:`transform`."""
        persons = self._store.num_persons[self._selected]
        return persons if self._persons is None else np.ones_like(persons)

    @property
    def clip_numbers(self) -> NDArray[np.int64]:
        """For each item, the number of its clip in the store; persons of one clip have the same."""
        return self._selected

    @property
    def _selected(self) -> NDArray[np.int64]:
        return self._selection[np.asarray(self.indices(), dtype=np.int64)]
