"""Names, classes and splits of recordings, by the folders that they lie in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

#: Folders that are splits, where all recordings lie in one of them.
SPLITS = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
#: Names that programs give to every file that they write; the folder around it names the clip.
_SAME_FOR_ALL = ("alphapose-results", "labels")


class Place(NamedTuple):
    """The place of a recording in the folder that is imported.

    Args:
        parts: The folders above it, and its name without ending.
        file_name: Its name with the ending.
        label: The folder around it, which is the name of its class; None if there is none.
        split: The split whose folder it lies in, if there is one.
    """

    parts: tuple[str, ...]
    file_name: str
    label: str | None
    split: str | None

    @property
    def name(self) -> str:
        """Name of the clip."""
        return "/".join(self.parts)


def find_place(folder: Path, path: Path, inner: str | None, *, folders_are_splits: bool) -> Place:
    """The place of a recording.

    Args:
        folder: The folder that is imported.
        path: The file, or the folder of files of one frame each.
        inner: Name of the recording, where the path holds several.
        folders_are_splits: Whether folders such as ``train`` are splits, not classes.
    """
    relative = path.relative_to(folder)
    parts = relative.parts if path.is_dir() else relative.with_suffix("").parts
    if len(parts) > 1 and parts[-1] in _SAME_FOR_ALL:
        parts = parts[:-1]
    folders = list(parts) if inner is not None and path.is_dir() else list(parts[:-1])
    split = None
    if folders_are_splits and (named := _first_split(folders)) is not None:
        split = SPLITS[named.lower()]
        folders.remove(named)
    label = folders[-1] if folders else None
    if inner is not None:
        return Place((*parts, inner), inner, label, split)
    # A path that is the imported folder itself has no parts.
    return Place(parts or (path.name,), path.name, label, split)


def all_in_splits(folder: Path, paths: Iterable[Path]) -> bool:
    """Whether every recording lies in a folder called train, val, test or the like."""
    return all(_first_split(path.relative_to(folder).parts[:-1]) for path in paths)


def _first_split(folders: Iterable[str]) -> str | None:
    return next((name for name in folders if name.lower() in SPLITS), None)
