"""Datasets with a name whose source is, or can be, a pickle in PYSKL's annotation format."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pyg_stgcn.datasets.base import SkeletonDataset
from pyg_stgcn.datasets.readers.reading import ClipSource
from pyg_stgcn.datasets.skeleton_pickle import read_annotations
from pyg_stgcn.download import RemoteFile, download_file
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton


class AnnotationDataset(SkeletonDataset):
    """Base class of datasets that are read from an annotation pickle of a known name, see
    :class:`~pyg_stgcn.datasets.skeleton_pickle.SkeletonPickle`.

    A subclass says which file, skeleton and classes. One that can be read from the original files
    too, from a folder or zip archives, sets :attr:`source_suffixes` and implements
    :meth:`read_originals`; they are looked for in the folder ``<root>/raw/<name>``.
    """

    file_name: ClassVar[str]
    skeleton_name: ClassVar[str] = "coco17"
    is_2d: ClassVar[bool] = True
    #: Where the pickle is published; empty if it has to be asked for or made.
    url: str = ""
    #: Where to read about the dataset.
    page: ClassVar[str]

    @abstractmethod
    def class_names(self) -> Sequence[str]:
        """Class names in label order."""

    def read_originals(self, path: Path) -> ClipSource:
        """Read a folder or zip archive of original files."""
        raise NotImplementedError

    @property
    def raw_file_names(self) -> list[str]:
        return [self.file_name, *([self.name] if self.source_suffixes else [])]

    @property
    def source_path(self) -> Path:
        if self.source is not None:
            return self.source
        file, *folders = map(Path, self.raw_paths)
        return next((folder for folder in folders if folder.is_dir()), file)

    def download(self) -> None:
        file, *folders = map(Path, self.raw_paths)
        originals = "".join(f"put the original files into {folder}, or " for folder in folders)
        try:
            self.fetch(file)
        except InputError as error:
            raise InputError(
                f"{error}; {originals}put {file.name}, fetched by other means (see {self.page}), "
                f"at {file}, or name the source with --source"
            ) from error

    def fetch(self, target: Path) -> None:
        """Download the pickle.

        Raises:
            InputError: If it is not published or cannot be fetched.
        """
        if not self.url:
            raise InputError(f"{target}: no such file, and none is published to download")
        download_file(RemoteFile((self.url,), "pickle", _is_pickle), target)

    def read(self) -> ClipSource:
        path = self.source_path
        if self.source_suffixes and (path.is_dir() or path.suffix == ".zip"):
            return self.read_originals(path)
        if self.source_suffixes and path.suffix not in (".pkl", ".pickle"):
            raise InputError(
                f"{path}: {self.name} is read from a folder or .zip of {self.source_suffixes[0]} "
                "files, or from a .pkl in PYSKL's annotation format; name one of these"
            )
        return self.read_pickle(path)

    def read_pickle(self, path: Path) -> ClipSource:
        """Read the annotation pickle.

        Raises:
            InputError: If it, or its kind of joints, is not that of the dataset.
        """
        found = read_annotations(path, get_skeleton(self.skeleton_name), self.name)
        if found.has_score != self.is_2d:
            has, expected = ("2-D", "3-D") if found.has_score else ("3-D", "2-D")
            raise InputError(
                f"{path}: holds {has} joints, {self.name} has {expected} ones; open it by its "
                "path, as a SkeletonPickle or with --dataset FILE"
            )
        return replace(found, classes=self.class_names(), own=False)


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(1) != b"\x80":
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() == b"."
