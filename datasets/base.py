"""Base class of all datasets, and the interface of a reader."""

from __future__ import annotations

import copy
import logging
import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data, Dataset

from pyg_stgcn.datasets.readers.geometry import Geometry, measure_geometry
from pyg_stgcn.datasets.readers.mistakes import list_skipped, warn_of_likely_mistakes
from pyg_stgcn.datasets.readers.reading import ClipSource
from pyg_stgcn.datasets.store.changes import describe_change
from pyg_stgcn.datasets.store.clip_metadata import ClipMetadata
from pyg_stgcn.datasets.store.clip_store import Clip, ClipStore
from pyg_stgcn.datasets.store.divisions import Divisions
from pyg_stgcn.datasets.store.fingerprint import (
    changes_unnoticed,
    describe_transform,
    same_source,
    source_fingerprint,
)
from pyg_stgcn.datasets.store.items import clip_to_data, refresh_present
from pyg_stgcn.datasets.store.lock import building_lock
from pyg_stgcn.datasets.store.person_items import as_item, by_person
from pyg_stgcn.datasets.store.preparation import Preparation
from pyg_stgcn.datasets.store.reports import warn_of_hidden_persons, warn_of_leaks
from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import describe_folder
from pyg_stgcn.files import check_is_file
from pyg_stgcn.progress import with_progress
from pyg_stgcn.skeletons import Skeleton

logger = logging.getLogger(__name__)

#: ``"train"``, ``"val"``, ``"test"``, ``"all"``, or the name of a split of the source.
Split = str


class SkeletonDataset(ClipMetadata, Dataset):
    """Base class of all skeleton datasets: readers differ, the store and the items do not.

    The first use reads the source into a :class:`~pyg_stgcn.datasets.store.clip_store.ClipStore` at
    ``<root>/processed/<name>``, later ones only open it. A store that does not fit its source, its
    options or this version of the package, or that is damaged, is built again where the source is
    there, and refused with the reason where it is not. Two processes never build at once: the
    second waits and uses the store of the first.

    **Writing a reader:** set :attr:`name`, implement :meth:`read`, and if there is a source file,
    :attr:`raw_file_names` (and :meth:`download`, where it can be fetched; and
    :attr:`source_suffixes`, where it can be a folder). Options that change the clips belong in
    :meth:`store_options`. The base class checks every clip, drops persons that are zero over the
    whole clip, applies :obj:`pre_transform`, leaves out the few bad clips, and writes the store.

    Args:
        root: Folder of the dataset. Files are looked for, and downloaded to, ``<root>/raw``.
        benchmark: Which division into training and validation clips to use. ``None`` takes the
            first of :attr:`benchmarks`.
        split: ``"train"``, ``"val"`` or ``"test"`` clips of the benchmark, ``"all"`` clips of the
            dataset, in a division or not, or the name of a split of the source.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to build the store again.
        source: The source file (or folder, where the dataset takes one), if it is not in
            ``<root>/raw``.
        strict: Whether a clip that cannot be used is an error. Otherwise up to one in a hundred are
            left out with a warning, up to one in two of a user's own data, see :attr:`skipped`.
        drop_leaks: Whether to leave out validation clips that are copies, see :meth:`leaks`.
        skip_bad: Whether to leave out any number of bad clips while the store is built.
        per_person: Whether every person of a clip is an item of their own, named ``NAME#0``,
            ``NAME#1``, ...

    Shapes:
        - **item:** :class:`~torch_geometric.data.Data` with ``x``
          :math:`(M \\cdot V, T, C)` (person after person), ``edge_index``
          :math:`(2, 2 M |\\mathcal{B}|)` (bones in both directions, for every person), ``y``
          :math:`(1)`, ``num_persons``, ``name``, ``present`` :math:`(M \\cdot V, T)` (which joints
          are, see :mod:`pyg_stgcn.datasets.store.present_joints`), and for 2-D data ``image_size``
          :math:`(1, 2)` (height, width).

    Raises:
        InputError: If the source, the store, the benchmark or the split cannot be used.
    """

    name: str = ""
    #: Endings of the files that are read where the source is a folder; empty if it is a file.
    source_suffixes: tuple[str, ...] = ()

    def __init__(
        self,
        root: str | os.PathLike[str],
        benchmark: str | None = None,
        split: Split = "train",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        log: bool = True,
        force_reload: bool = False,
        source: str | os.PathLike[str] | None = None,
        strict: bool = False,
        drop_leaks: bool = False,
        skip_bad: bool = False,
        per_person: bool = False,
    ) -> None:
        if strict and skip_bad:
            raise InputError(
                "strict stops at a bad clip, skip_bad leaves all of them out; give one of the two"
            )
        self.split = split
        self.strict = strict
        self.drop_leaks = drop_leaks
        self.skip_bad = skip_bad
        self.source = None if source is None else Path(source)
        if self.source is not None and not self.raw_file_names:
            raise InputError(f"{self.source}: {self.name} has no source file; leave out --source")
        if self.source is not None and not self._exists(self.source):
            raise InputError(f"{self.source}: {self._no_such(self.source)}")
        super().__init__(os.fspath(root), transform, pre_transform, pre_filter, log, force_reload)
        self.skeleton = Skeleton.from_dict(self._store.meta["skeleton"])
        self.classes: list[str] = self._store.meta["classes"]
        self._edge_index = self.skeleton.edge_index()
        self.benchmark = self._divisions.choose(benchmark)
        self._selection = self._divisions.select(self.benchmark, split)
        if per_person:
            self._selection, self._persons = by_person(self._selection, self._store.num_persons)

    @staticmethod
    def from_arrays(*args: Any, **options: Any) -> SkeletonDataset:
        """Make a dataset of arrays in memory; arguments as for
        :class:`~pyg_stgcn.datasets.skeleton_arrays.SkeletonArrays`.
        """
        from pyg_stgcn.datasets.skeleton_arrays import SkeletonArrays

        return SkeletonArrays(*args, **options)

    @abstractmethod
    def read(self) -> ClipSource:
        """Read the source. Called only while a store is built.

        Raises:
            InputError: If the source cannot be used.
        """

    def store_options(self) -> dict[str, Any]:
        """JSON-serialisable options that change the clips of :meth:`read`."""
        return {}

    def fits_store(self, key: str, meta: Mapping[str, Any]) -> bool:
        """Whether a store has the clips of this dataset though a part of its fingerprint differs.

        Args:
            key: Name of the part, such as ``"options"``.
            meta: Metadata of the store.
        """
        return False

    @property
    def raw_file_names(self) -> list[str]:
        return []

    @property
    def processed_file_names(self) -> list[str]:
        return [f"{self.name}/meta.json"]

    @property
    def source_path(self) -> Path | None:
        """The file or folder to read from, there or not; ``None`` for a dataset without one."""
        if self.source is not None:
            return self.source
        return Path(self.raw_paths[0]) if self.raw_file_names else None

    def download(self) -> None:
        raise InputError(
            f"{self.source_path}: no such file; put it there, or say where it is with --source FILE"
        )

    def process(self) -> None:
        # Before the reading: what is changed meanwhile is noticed later.
        fingerprint = self._fingerprint()
        source = self.read()
        meta = {
            "name": self.name,
            "skeleton": source.skeleton.to_dict(),
            "classes": list(source.classes),
            "has_score": source.has_score,
            # A pre_transform computes in single precision, which half precision would not keep.
            "dtype": source.dtype if self.pre_transform is None else "float32",
            "fingerprint": fingerprint,
        }
        if source.default_skeleton is not None:
            meta["default_skeleton"] = source.default_skeleton.to_dict()
        where = self.source_path
        try:
            prepared = Preparation(
                source,
                self.pre_transform,
                self.pre_filter,
                strict=self.strict,
                skip_bad=self.skip_bad,
                name=str(where or self.name),
            )
            clips = (
                prepared
                if not self.log
                else with_progress(prepared, f"Reading {self.name}", source.total)
            )
            self._store = ClipStore.build(self._store_folder, clips, meta, prepared.metadata)
        except InputError as error:
            if where is None or str(error).startswith((str(where), str(self._store_folder))):
                raise
            raise InputError(f"{where}: {error}") from error
        self._report()
        if source.own:
            warn_of_likely_mistakes(
                where or self.name,
                source.classes,
                self._store.labels,
                self._store.num_frames,
                self._store.num_persons,
            )

    def len(self) -> int:
        return len(self._selection)

    def get(self, idx: int) -> Data:
        return clip_to_data(self._read(idx), self._edge_index)

    def clip(self, idx: int) -> Clip:
        """The arrays of item number :obj:`idx`, before :obj:`transform`; read-only."""
        return self._read(self.indices()[idx])

    def __getitem__(self, idx: Any) -> Any:
        item = super().__getitem__(idx)
        return refresh_present(item) if isinstance(item, Data) else item

    def copy(self, idx: Any = None) -> SkeletonDataset:
        """Copy the dataset, or the part selected by :obj:`idx`; the clips stay on disk."""
        return copy.copy(self) if idx is None else self.index_select(idx)

    def relabelled(self, classes: Sequence[str], numbers: Sequence[int]) -> SkeletonDataset:
        """Copy the dataset with other class names and numbers.

        Args:
            classes: The new class names, in label order.
            numbers: For every present class its new number.
        """
        # An unlabelled clip has label -1, which picks the last of these.
        new = torch.tensor([*numbers, -1])
        other = self.copy()
        other.classes = list(classes)
        other._class_numbers = new if self._class_numbers is None else new[self._class_numbers]
        return other

    @cached_property
    def geometry(self) -> Geometry:
        """Mean pose and bones of the dataset, from a sample of its clips. The first look warns
        where they do not fit the skeleton; what a :obj:`pre_transform` makes need not fit.
        """
        skeleton = Skeleton.from_dict(self._store.meta["skeleton"])
        geometry = measure_geometry(self._store, skeleton, has_score=self.has_score)
        for warning in geometry.warnings if self.pre_transform is None else ():
            logger.warning("%s: %s", self._store_folder, warning)
        return geometry

    @property
    def _store_folder(self) -> Path:
        # A file may be called "..pkl": its store must not be the folder around all stores.
        name = self.name if self.name.strip(".") else f"{self.name}_"
        return Path(self.processed_dir) / name

    def _download(self) -> None:
        """Do nothing: the source is needed only where a store has to be built."""

    def _process(self) -> None:
        # PyG's own would use a store that does not fit after a warning, and would write pickles.
        reason = "force_reload" if self.force_reload else self._open()
        if reason is None:
            return
        with building_lock(self._store_folder):
            # Another process may have built the store while this one waited for the lock.
            reason = "force_reload" if self.force_reload else self._open()
            if reason is not None:
                self._build(reason)

    def _build(self, reason: str) -> None:
        ClipStore.check_place(self._store_folder)
        exists = self._store_folder.exists()
        if exists and not self.force_reload:
            logger.warning("%s: building the store again (%s)", self._store_folder, reason)
        source = self.source_path
        if source is not None and not self._exists(source):
            try:
                self.download()
            except InputError as error:
                if not exists:
                    raise
                raise InputError(
                    f"{self._store_folder}: cannot be used ({reason}) and cannot be built again: "
                    f"{error}"
                ) from error
        # PyG's words, and silence in tests.
        talks = self.log and "PYTEST_CURRENT_TEST" not in os.environ
        if talks:
            print(f"Processing {self.name}...", file=sys.stderr)
        self.process()
        if talks:
            print("Done!", file=sys.stderr)

    def _read(self, idx: int) -> Clip:
        clip = self._store[int(self._selection[idx])]
        person = None if self._persons is None else int(self._persons[idx])
        return as_item(clip, person, self._class_numbers)

    def _open(self) -> str | None:
        """Open the store; if it cannot be used, say why."""
        if not self._store_folder.exists():
            return "not built yet"
        try:
            store = ClipStore.open(self._store_folder)
        except InputError as error:
            return str(error)
        stored = store.meta["fingerprint"]
        for key, value in self._options().items():
            if stored.get(key) != value and not self.fits_store(key, store.meta):
                return describe_change(key, value, stored.get(key))
        source = self.source_path
        # Who has removed the source to save space keeps the store.
        if (
            source is not None
            and self._exists(source)
            and not same_source(source, stored["source"], self.source_suffixes, self._store_folder)
        ):
            return f"{source} has changed since"
        if self.strict and store.meta["skipped"]:
            return f"{len(store.meta['skipped'])} clips were left out of it"
        self._store = store
        for key in ("pre_transform", "pre_filter"):
            if changes_unnoticed(stored.get(key)):
                logger.warning(
                    "%s: has the clips of an earlier %s %s; other functions may have this name, so "
                    "if it has changed, use force_reload=True, or name a function of a module",
                    self._store_folder,
                    key,
                    stored[key],
                )
        return None

    def _report(self) -> None:
        """Warn of skipped clips, hidden persons, leaks and unlikely bodies."""
        skipped = self.skipped
        if skipped:
            logger.warning(
                "%s: %d of %d clips cannot be used and are left out:\n%s",
                self.source_path or self.name,
                len(skipped),
                len(skipped) + len(self._store),
                list_skipped(skipped),
            )
        warn_of_hidden_persons(self._store)
        leaks = {name: len(self._divisions.leaks(name)) for name in self.benchmarks}
        warn_of_leaks(self._store_folder, leaks)
        _ = self.geometry

    @cached_property
    def _divisions(self) -> Divisions:
        return Divisions(self._store, self.name, self.source_path, drop_leaks=self.drop_leaks)

    def _options(self) -> dict[str, Any]:
        return {
            "reader": type(self).__name__,
            "options": self.store_options(),
            "pre_transform": describe_transform(self.pre_transform),
            "pre_filter": describe_transform(self.pre_filter),
        }

    def _fingerprint(self) -> dict[str, Any]:
        path = self.source_path
        source = None if path is None else source_fingerprint(path, self.source_suffixes)
        return {**self._options(), "source": source}

    def _exists(self, source: Path) -> bool:
        return source.is_file() or (bool(self.source_suffixes) and source.is_dir())

    def _no_such(self, source: Path) -> str:
        check_is_file(source)
        if source.is_dir():
            return describe_folder(source, Path(self.raw_file_names[0]).suffix or ".pkl")
        kind = "file or folder" if self.source_suffixes else "file"
        option = "the path" if self.source is None else "--source"
        return f"no such {kind}; check {option}"
