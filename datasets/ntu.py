"""What NTU-60 and NTU-120 have in common."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_stgcn.datasets._ntu_names import (
    ClipName,
    class_names,
    missing_names,
    official_splits,
    parse_name,
)
from pyg_stgcn.datasets._ntu_source import list_raw_files, read_clips
from pyg_stgcn.datasets.base import SkeletonDataset, Split
from pyg_stgcn.datasets.download import download_checked
from pyg_stgcn.datasets.reading import BadClip, ClipSource
from pyg_stgcn.datasets.skeleton_pickle import read_annotations
from pyg_stgcn.datasets.store import Clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeleton import get_skeleton

logger = logging.getLogger(__name__)

_PICKLES = (".pkl", ".pickle")


class NTUDataset(SkeletonDataset):
    """Base class of :class:`NTU60` and :class:`NTU120`, where the arguments are described.

    A subclass says how many actions and clips there are, and which benchmarks.
    """

    num_actions: ClassVar[int]
    num_clips: ClassVar[int]
    official_benchmarks: ClassVar[tuple[str, ...]]
    url: str
    page = "https://rose1.ntu.edu.sg/dataset/actionRecognition/"
    source_suffixes = (".skeleton", ".zip")

    def __init__(
        self,
        root: str | os.PathLike[str],
        benchmark: str | None = None,
        split: Split = "train",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        force_reload: bool = False,
        source: str | os.PathLike[str] | None = None,
        raw_bodies: bool = False,
        strict: bool = False,
        drop_leaks: bool = False,
    ) -> None:
        self.raw_bodies = raw_bodies
        super().__init__(
            root,
            benchmark,
            split,
            transform,
            pre_transform,
            force_reload,
            source,
            strict,
            drop_leaks,
        )

    @property
    def raw_file_names(self) -> list[str]:
        return [self.name, f"{self.name}_3danno.pkl"]

    @property
    def source_path(self) -> Path:
        if self.source is not None:
            return self.source
        folder, annotations = map(Path, self.raw_paths)
        return folder if folder.is_dir() else annotations

    def store_options(self) -> dict[str, Any]:
        return {"raw_bodies": self.raw_bodies}

    def download(self) -> None:
        folder, target = map(Path, self.raw_paths)
        ask = (
            f"NTU RGB+D is lent after signing an agreement: ask for its 3D skeletons at {self.page}"
        )
        try:
            if self.raw_bodies:
                raise InputError(f"{folder}: no such folder, and only raw files hold all bodies")
            logger.warning("%s. Downloading PYSKL's conversion of them from %s", ask, self.url)
            download_checked(self.url, target, "pickle", _is_pickle)
        except InputError as error:
            raise InputError(
                f"{error}. {ask}, and put the archives or the .skeleton files into {folder} or "
                f"name their place with --source; or put {target.name}, fetched by other means, at "
                f"{target}"
            ) from error

    def read(self) -> ClipSource:
        path = self.source_path
        if path.is_dir() or path.suffix == ".zip":
            source = self._read_raw(path)
        elif path.suffix in _PICKLES:
            source = self._read_annotations(path)
        else:
            raise InputError(
                f"{path}: {self.name} is read from a folder or .zip of .skeleton files, or from a "
                ".pkl in PYSKL's annotation form; name one of these"
            )
        if source.total != self.num_clips:
            logger.warning("%s: %d clips, %s has %d", path, source.total, self.name, self.num_clips)
        return source

    @property
    def subjects(self) -> NDArray[np.int64]:
        """Numbers of the performers of the selected clips, counted from 1."""
        return self._numbers("performer")

    @property
    def cameras(self) -> NDArray[np.int64]:
        """Numbers of the cameras of the selected clips, counted from 1."""
        return self._numbers("camera")

    @property
    def setups(self) -> NDArray[np.int64]:
        """Numbers of the set-ups (height and distance of the cameras), counted from 1."""
        return self._numbers("setup")

    def _numbers(self, part: str) -> NDArray[np.int64]:
        return np.array([getattr(parse_name(name, name), part) for name in self.names], np.int64)

    def _read_raw(self, path: Path) -> ClipSource:
        files = list_raw_files(path)
        clips = self._choose(path, {file.clip: parse_name(file.clip, str(file)) for file in files})
        chosen = [file for file in files if file.clip in clips]
        return self._make_source(clips, read_clips(chosen, self.raw_bodies))

    def _read_annotations(self, path: Path) -> ClipSource:
        if self.raw_bodies:
            raise InputError(
                f"{path}: holds only the persons, not all bodies; give the raw files, or leave out "
                "raw_bodies"
            )
        found = read_annotations(path, get_skeleton("ntu25"), self.name)
        if found.has_score:
            raise InputError(
                f"{path}: holds 2-D joints, {self.name} has 3-D ones; open it by its path, as a "
                "SkeletonPickle or with --dataset FILE"
            )
        annotated = list(found.clips)
        clips = self._choose(path, {clip.name: _check_annotation(path, clip) for clip in annotated})
        chosen = (clip for clip in annotated if clip.name in clips)
        return replace(self._make_source(clips, chosen), dtype=found.dtype)

    def _choose(self, path: Path, clips: dict[str, ClipName]) -> dict[str, ClipName]:
        """The clips that belong to this dataset and are not known to be of no use."""
        missing = missing_names()
        chosen = {
            name: clip
            for name, clip in clips.items()
            if clip.action <= self.num_actions and name not in missing
        }
        if not chosen:
            raise InputError(
                f"{path}: none of the {len(clips)} clips has an action up to {self.num_actions} "
                "and a skeleton that is not known to be missing; check that it is the right source"
            )
        logger.info("%s: %d of %d clips left out", path, len(clips) - len(chosen), len(clips))
        return chosen

    def _make_source(
        self, clips: dict[str, ClipName], found: Iterator[Clip | BadClip]
    ) -> ClipSource:
        return ClipSource(
            skeleton=get_skeleton("ntu25"),
            classes=class_names(self.num_actions),
            splits=official_splits(clips, self.official_benchmarks),
            clips=found,
            total=len(clips),
        )


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def _check_annotation(path: Path, clip: Clip | BadClip) -> ClipName:
    name = parse_name(clip.name, f"{path}: an annotation")
    if isinstance(clip, BadClip):
        return name
    if clip.label != name.label:
        raise InputError(
            f"{path}: clip {clip.name!r} has label {clip.label}, its name says {name.label}; "
            "correct the pickle, or open it by its path as a SkeletonPickle"
        )
    if clip.keypoint.shape[2:] != (25, 3):
        joints, channels = clip.keypoint.shape[2:]
        raise InputError(
            f"{path}: clip {clip.name!r} has {joints} joints of {channels} channels instead of 25 "
            "of 3; open the pickle by its path, with --skeleton"
        )
    return name
