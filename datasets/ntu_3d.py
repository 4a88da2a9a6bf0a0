"""NTU RGB+D in 3-D, from raw files or from an annotation pickle."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch_geometric.data import Data

from pyg_stgcn.datasets.base import Split
from pyg_stgcn.datasets.ntu import NTUDataset
from pyg_stgcn.datasets.readers.ntu_file import parse_recording
from pyg_stgcn.datasets.readers.ntu_names import parse_name
from pyg_stgcn.datasets.readers.ntu_persons import all_bodies, select_persons
from pyg_stgcn.datasets.readers.raw_files import (
    RawFile,
    list_raw_files,
    name_files,
    read_bytes,
    read_clips,
)
from pyg_stgcn.datasets.readers.reading import ClipSource
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.errors import InputError

_SUFFIX = ".skeleton"


class NTU3DDataset(NTUDataset):
    """Base class of :class:`NTU60` and :class:`NTU120`, where the arguments are described."""

    skeleton_name = "ntu25"
    is_2d = False
    source_suffixes = (_SUFFIX, ".zip")
    lent = "NTU RGB+D is lent after signing an agreement: ask for its 3D skeletons at"

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
        raw_bodies: bool = False,
        strict: bool = False,
        drop_leaks: bool = False,
        skip_bad: bool = False,
        per_person: bool = False,
    ) -> None:
        self.raw_bodies = raw_bodies
        super().__init__(
            root,
            benchmark,
            split,
            transform,
            pre_transform,
            pre_filter,
            log,
            force_reload,
            source,
            strict,
            drop_leaks,
            skip_bad,
            per_person,
        )

    def store_options(self) -> dict[str, Any]:
        return {"raw_bodies": self.raw_bodies}

    def fetch(self, target: Path) -> None:
        if self.raw_bodies:
            raise InputError(
                f"{target.with_name(self.name)}: no such folder, and only raw files hold all "
                f"bodies. {self.lent} {self.page}"
            )
        super().fetch(target)

    def read_originals(self, path: Path) -> ClipSource:
        files = name_files(list_raw_files(path, _SUFFIX), _clip_name)
        names = {name: parse_name(name, str(file)) for name, file in files.items()}
        clips = self.choose(path, names)
        chosen = {name: file for name, file in files.items() if name in clips}
        return self.make_source(clips, read_clips(partial(_read, self.raw_bodies), chosen))

    def read_pickle(self, path: Path) -> ClipSource:
        if self.raw_bodies:
            raise InputError(
                f"{path}: holds only the persons, not all bodies; give the raw files, or leave out "
                "raw_bodies"
            )
        return super().read_pickle(path)


def _clip_name(file: RawFile) -> str:
    return file.inner.name.removesuffix(_SUFFIX)


def _read(raw_bodies: bool, name: str, file: RawFile) -> Clip:
    where = str(file)
    recording = parse_recording(read_bytes(file), where, tracking=raw_bodies)
    keypoint = all_bodies(recording, where) if raw_bodies else select_persons(recording)
    return Clip(name, parse_name(name, where).label, keypoint)
