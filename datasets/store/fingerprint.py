"""Recognise whether a store still fits the source and the transform that it was built from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch_geometric.transforms import Compose

from pyg_stgcn.files import file_sha256, write_atomically
from pyg_stgcn.walk import walk

#: Of a folder with more files than these, only the folders are looked at first: asking for the size
#: and time of 100,000 files takes half a second.
_MANY_FILES = 1000
#: The coarsest clock of a file system, FAT's, in nanoseconds.
_CLOCK_TICK = 2 * 10**9
#: Name of the file beside a fingerprint that says when its source was last compared.
SOURCE_NOTE = "source.json"


def source_fingerprint(path: Path, suffixes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Fingerprint of a source, to recognise it later.

    Args:
        path: A file or a folder.
        suffixes: Endings of the files that count in a folder.

    Returns:
        Of a file its SHA-256, and its state: size, inode, and times of modification and of change.
        Of a folder the number of its files and the SHA-256 of their names, sizes and modification
        times: contents would take too long. If there are many files, also the modification times of
        the folder and those within.
    """
    if path.is_dir():
        return _folder_fingerprint(path, suffixes)
    state = _file_state(path)
    return {"size": path.stat().st_size, "sha256": file_sha256(path), "state": state}


def same_source(
    path: Path,
    fingerprint: Mapping[str, Any],
    suffixes: tuple[str, ...] = (),
    notes: Path | None = None,
) -> bool:
    """Whether a source has the contents that were recorded; a mere copy of a file has.

    The contents of a file are read only where its state is another one than recorded. The time of
    the last change belongs to it, which the system keeps and no program can set back.

    In a folder of many files, one that is overwritten under its name is not noticed as long as no
    file is added, removed or renamed: that would not change the time of its folder.

    Args:
        path: A file or a folder.
        fingerprint: What :func:`source_fingerprint` has given for it.
        suffixes: Endings of the files that count in a folder.
        notes: Folder in which to note that a file of another state has the same contents, so that
            they need not be read again; nothing is noted where it cannot be written.
    """
    if path.is_dir():
        if _same_folders(path, fingerprint.get("folders", {})):
            return True
        found = _folder_fingerprint(path, suffixes)
        return all(found[key] == fingerprint.get(key) for key in ("files", "sha256"))
    if path.stat().st_size != fingerprint.get("size"):
        return False
    state = _file_state(path)
    if state is not None and state in (fingerprint["state"], _noted_state(fingerprint, notes)):
        return True
    if file_sha256(path) != fingerprint["sha256"]:
        return False
    if state is not None and notes is not None:
        _note_state(fingerprint, state, notes)
    return True


def _file_state(path: Path) -> list[int] | None:
    """A state that differs after every change of a file; ``None`` if a change might not show."""
    now = time.time_ns()
    stat = path.stat()
    # Two changes within a tick of the clock leave a file with the same times.
    if stat.st_ctime_ns > now - _CLOCK_TICK:
        return None
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _noted_state(fingerprint: Mapping[str, Any], notes: Path | None) -> list[int] | None:
    if notes is None:
        return None
    try:
        note = json.loads((notes / SOURCE_NOTE).read_bytes())
        return note["state"] if note["sha256"] == fingerprint["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _note_state(fingerprint: Mapping[str, Any], state: list[int], notes: Path) -> None:
    note = json.dumps({"sha256": fingerprint["sha256"], "state": state})
    # A store may be read-only, or just now be replaced by another process.
    with contextlib.suppress(OSError):
        write_atomically(notes / SOURCE_NOTE, lambda file: file.write_text(note))


def describe_transform(transform: Callable[..., Any] | None) -> str | None:
    """The class of a transform, its options and its version, to notice that it has changed.

    The version is the attribute ``version`` of the transform, if it has one: raise it whenever the
    transform computes something else with the same options. A function is known by its name alone,
    see :func:`changes_unnoticed`; to have its changes noticed, write a transform with a version.

    Example:
        >>> class Shift(BaseTransform):
        ...     version = 2
        ...     def __init__(self, by):
        ...         self.by = by
        >>> describe_transform(Shift(0.5))
        '__main__.Shift(by=0.5, version=2)'
    """
    if transform is None:
        return None
    if isinstance(transform, Compose):
        return " > ".join(str(describe_transform(part)) for part in transform.transforms)
    if hasattr(transform, "__qualname__"):
        return f"{transform.__module__}.{transform.__qualname__}"
    if not hasattr(transform, "__dict__") or isinstance(transform, partial):
        return _plain(transform)
    options = dict(sorted(vars(transform).items()))
    if hasattr(transform, "version"):
        options["version"] = transform.version
    parts = [f"{name}={_plain(value)}" for name, value in options.items()]
    return f"{type(transform).__module__}.{type(transform).__name__}({', '.join(parts)})"


def changes_unnoticed(description: str | None) -> bool:
    """Whether a description, see :func:`describe_transform`, is shared by different functions: the
    name of a lambda, or of a function within another.
    """
    return description is not None and ("<lambda>" in description or "<locals>." in description)


def _plain(value: Any) -> str:
    """The ``repr`` of an option, the same in every process."""
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_plain, value)))}}}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _folder_fingerprint(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Any]:
    started = time.time_ns()
    lines = []
    folders = {}
    for parent, names in walk(folder):
        within = Path(parent).relative_to(folder).as_posix()
        folders[within] = Path(parent).stat().st_mtime_ns
        for name in names:
            if name.endswith(suffixes):
                stat = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 (five times faster)
                lines.append(f"{within}/{name} {stat.st_size} {stat.st_mtime_ns}\n")
    text = "".join(sorted(lines))
    fingerprint: dict[str, Any] = {
        "files": len(lines),
        "sha256": hashlib.sha256(os.fsencode(text)).hexdigest(),
    }
    # Two changes within a tick of the clock leave a folder with the same time.
    if len(lines) > _MANY_FILES and max(folders.values()) < started - _CLOCK_TICK:
        fingerprint["folders"] = folders
    return fingerprint


def _same_folders(folder: Path, times: Mapping[str, int]) -> bool:
    try:
        return bool(times) and all(
            (folder / within).stat().st_mtime_ns == mtime for within, mtime in times.items()
        )
    except OSError:
        return False
