"""Base class of all datasets, and what a reader has to supply."""

from __future__ import annotations

import copy
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch_geometric.data import Data, Dataset

from pyg_stgcn.datasets.fingerprint import describe_transform, same_source, source_fingerprint
from pyg_stgcn.datasets.items import clip_to_data, data_to_clip
from pyg_stgcn.datasets.reading import ClipSource, check_clip, find_benchmarks
from pyg_stgcn.datasets.store import Clip, ClipStore
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeleton import Skeleton

logger = logging.getLogger(__name__)

Split = Literal["train", "val", "all"]
SPLITS: tuple[Split, ...] = ("train", "val", "all")


class SkeletonDataset(Dataset):
    """Base class of all skeleton datasets: readers differ, the store and the items do not.

    The first use reads the source into a :class:`~pyg_stgcn.datasets.store.ClipStore` at
    ``<root>/processed/<name>``, later ones only open it. A store that does not fit its source, its
    options or this version of the package, or that is damaged, is built again where the source is
    there, and refused with the reason where it is not. Two processes never build at once: the
    second waits and uses what the first has built.

    **Writing a reader:** set :attr:`name`, implement :meth:`read`, and if there is a source file,
    :attr:`raw_file_names` (and :meth:`download`, where it can be fetched; and
    :attr:`source_suffixes`, where it can be a folder). Options that change what is read belong into
    :meth:`store_options`. The base class checks every clip, drops persons that
    are zero over the whole clip, applies :obj:`pre_transform` and writes the store.

    Args:
        root: Folder of the dataset. Files are looked for, and downloaded to, ``<root>/raw``.
        benchmark: Which division into training and validation clips to use. ``None`` takes the
            first of :attr:`benchmarks`.
        split: ``"train"``, ``"val"``, or ``"all"`` clips of the dataset, in a division or not.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        force_reload: Whether to build the store again.
        source: The source file (or folder, where the dataset takes one), if it is not in
            ``<root>/raw``.

    Shapes:
        - **item:** :class:`~torch_geometric.data.Data` with ``x``
          :math:`(M \\cdot V, T, C)` (person after person), ``edge_index``
          :math:`(2, 2 M |\\mathcal{B}|)` (bones in both directions, for every person), ``y``
          :math:`(1)`, ``num_persons``, ``name``, and for 2-D data ``image_size`` :math:`(1, 2)`
          (height, width).

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
        force_reload: bool = False,
        source: str | os.PathLike[str] | None = None,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"split {split!r} does not exist; choose one of {', '.join(SPLITS)}")
        self.split = split
        self.source = None if source is None else Path(source)
        if self.source is not None and not self.raw_file_names:
            raise InputError(f"{self.source}: {self.name} has no source file; leave out --source")
        if self.source is not None and not self._exists(self.source):
            raise InputError(f"{self.source}: {self._no_such()}; check --source")
        super().__init__(os.fspath(root), transform, pre_transform, force_reload=force_reload)
        self.skeleton = Skeleton.from_dict(self._store.meta["skeleton"])
        self.classes: list[str] = self._store.meta["classes"]
        self._edge_index = self.skeleton.edge_index()
        self._benchmarks = find_benchmarks(self._store.splits)
        self.benchmark = self._choose_benchmark(benchmark)
        self._selection = self._select()

    @abstractmethod
    def read(self) -> ClipSource:
        """Read the source. Called only while a store is built.

        Raises:
            InputError: If the source cannot be used.
        """

    def store_options(self) -> dict[str, Any]:
        """JSON-serialisable options that change what :meth:`read` gives."""
        return {}

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
        source = self.read()
        fingerprint = self._fingerprint()
        meta = {
            "name": self.name,
            "skeleton": source.skeleton.to_dict(),
            "classes": list(source.classes),
            "splits": source.splits,
            "has_score": source.has_score,
            # A pre_transform computes in single precision, which half precision would not keep.
            "dtype": source.dtype if self.pre_transform is None else "float32",
            "fingerprint": fingerprint,
        }
        try:
            self._store = ClipStore.build(
                self._store_folder, self._prepare(source), meta, source.total
            )
        except InputError as error:
            where = self.source_path
            if where is None or str(error).startswith((str(where), str(self._store_folder))):
                raise
            raise InputError(f"{where}: {error}") from error

    def len(self) -> int:
        return len(self._selection)

    def get(self, idx: int) -> Data:
        return clip_to_data(self._store[int(self._selection[idx])], self._edge_index)

    def copy(self, idx: Any = None) -> SkeletonDataset:
        """Copy the dataset, or the part of it selected by :obj:`idx`.

        The clips are read-only and stay where they are, on disk.
        """
        return copy.copy(self) if idx is None else self.index_select(idx)

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
        return tuple(self._benchmarks)

    def split_sizes(self, benchmark: str) -> dict[str, int]:
        """Number of clips of each split of a benchmark: ``{"train": ..., "val": ...}``."""
        return {
            split: len(self._store.split(stored))
            for split, stored in self._benchmarks[benchmark].items()
        }

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the selected clips."""
        return self._store.labels[self._selected]

    @property
    def names(self) -> list[str]:
        """Names of the selected clips."""
        return [self._store.name(i) for i in self._selected]

    @property
    def num_frames(self) -> NDArray[np.int64]:
        """Numbers of frames of the selected clips, before :obj:`transform`."""
        return self._store.num_frames[self._selected]

    @property
    def num_persons(self) -> NDArray[np.int64]:
        """Numbers of persons of the selected clips, before :obj:`transform`."""
        return self._store.num_persons[self._selected]

    @property
    def _selected(self) -> NDArray[np.int64]:
        return self._selection[np.asarray(self.indices(), dtype=np.int64)]

    @property
    def _store_folder(self) -> Path:
        return Path(self.processed_dir) / self.name

    def _download(self) -> None:
        """Do nothing: the source is needed only where a store has to be built."""

    def _process(self) -> None:
        # PyG's own would use a store that does not fit after a warning, and would write pickles.
        reason = "force_reload" if self.force_reload else self._open()
        if reason is None:
            return
        lock = self._lock()
        try:
            # Another process may have built the store while this one waited for the lock.
            reason = "force_reload" if self.force_reload else self._open()
            if reason is not None:
                self._build(reason)
        finally:
            lock.release()

    def _build(self, reason: str) -> None:
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
        self.process()

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
            if stored.get(key) != value:
                return f"{key} is {value!r}, the store was built with {stored.get(key)!r}"
        source = self.source_path
        # Who has removed the source to save space keeps the store.
        if (
            source is not None
            and self._exists(source)
            and not same_source(source, stored["source"], self.source_suffixes)
        ):
            return f"{source} has changed since"
        self._store = store
        return None

    def _options(self) -> dict[str, Any]:
        return {
            "reader": type(self).__name__,
            "options": self.store_options(),
            "pre_transform": describe_transform(self.pre_transform),
        }

    def _fingerprint(self) -> dict[str, Any]:
        source = self.source_path
        return {
            **self._options(),
            "source": None if source is None else source_fingerprint(source, self.source_suffixes),
        }

    def _exists(self, source: Path) -> bool:
        return source.is_file() or (bool(self.source_suffixes) and source.is_dir())

    def _no_such(self) -> str:
        return "no such file or folder" if self.source_suffixes else "no such file"

    def _lock(self) -> FileLock:
        path = Path(self.processed_dir) / f"{self.name}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logger.info("%s: waiting for the process that is building it", self._store_folder)
                lock.acquire()
        except OSError as error:
            raise InputError(
                f"{path.parent}: the store cannot be written ({error.strerror or error}); make "
                "it writable or choose another folder with --root"
            ) from error
        return lock

    def _prepare(self, source: ClipSource) -> Iterator[Clip]:
        edge_index = source.skeleton.edge_index()
        for clip in source.clips:
            clip = check_clip(clip, source)
            if self.pre_transform is not None:
                data = self.pre_transform(clip_to_data(clip, edge_index))
                clip = data_to_clip(data, clip, edge_index)
            yield clip

    def _choose_benchmark(self, benchmark: str | None) -> str | None:
        if benchmark is None:
            return next(iter(self._benchmarks), None)
        if benchmark not in self._benchmarks:
            valid = ", ".join(self._benchmarks) or "none, only split 'all'"
            raise InputError(
                f"benchmark {benchmark!r} does not exist in {self.name}; it has: {valid}"
            )
        return benchmark

    def _select(self) -> NDArray[np.int64]:
        if self.split == "all":
            return np.arange(len(self._store))
        if self.benchmark is None:
            found = ", ".join(self._store.splits) or "none"
            raise InputError(
                f"{self.source_path}: no division into training and validation clips (splits "
                f"found: {found}); add splits named 'train' and 'val', or use split='all'"
            )
        parts = self._benchmarks[self.benchmark]
        if self.split not in parts:
            raise InputError(
                f"{self.source_path}: benchmark {self.benchmark!r} has no {self.split} clips, "
                f"only the split {', '.join(parts.values())}; add the missing split"
            )
        selection = self._store.split(parts[self.split])
        if not len(selection):
            raise InputError(f"{self.source_path}: split {parts[self.split]!r} is empty")
        return selection
