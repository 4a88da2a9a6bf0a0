"""Recognise whether a store still fits the source and the transform that it was built from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import types
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch_geometric.transforms import Compose

from pyg_stgcn.datasets.readers.walk import walk
from pyg_stgcn.files import write_atomically

#: Of a folder with more files than these, only the folders are looked at first: asking for the size
#: and time of 100,000 files takes half a second.
_MANY_FILES = 1000
#: The coarsest clock of a file system, FAT's, in nanoseconds.
_CLOCK_TICK = 2 * 10**9
#: Name of the file beside a fingerprint that says when its source was last compared.
SOURCE_NOTE = "source.json"


def source_fingerprint(path: Path, suffixes: tuple[str, ...] = ()) -> dict[str, Any]:
    """What is needed to recognise a source.

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
    """What changes with every change of a file; ``None`` if a later one might not show."""
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
    """Describe a transform so that two that compute different things are told apart.

    The usual ``repr`` of a transform hides its options, and that of a function is its address. What
    a function calls is known by its name alone: change that, and the description stays.
    """
    return None if transform is None else _describe(transform, ())


def _describe(value: Any, around: tuple[int, ...]) -> str:
    """Describe a part of a transform; ``around`` are the parts that it is in, by their ids."""
    if id(value) in around:
        return "itself"
    around = (*around, id(value))
    if isinstance(value, Compose):
        return " > ".join(_describe(part, around) for part in value.transforms)
    if isinstance(value, types.MethodType):
        return f"{_describe(value.__func__, around)} of {_describe(value.__self__, around)}"
    if isinstance(value, types.FunctionType):
        parts = [_describe_code(value.__code__)]
        cells = [cell.cell_contents for cell in value.__closure__ or () if not _is_empty(cell)]
        for part in (cells, value.__defaults__, value.__kwdefaults__):
            parts.append(_describe(part, around))
        checksum = zlib.crc32(" ".join(parts).encode())
        return f"{value.__module__}.{value.__qualname__}#{checksum:08x}"
    if isinstance(value, partial):
        parts = [_describe(part, around) for part in (value.func, value.args, value.keywords)]
        return f"partial({', '.join(parts)})"
    if isinstance(value, list):
        return f"[{', '.join(_describe(part, around) for part in value)}]"
    if isinstance(value, tuple):
        return f"({', '.join(_describe(part, around) for part in value)})"
    if isinstance(value, set | frozenset):
        # Their order differs from process to process.
        return f"{{{', '.join(sorted(_describe(part, around) for part in value))}}}"
    if isinstance(value, dict):
        entries = (f"{key!r}: {_describe(part, around)}" for key, part in value.items())
        return f"{{{', '.join(entries)}}}"
    return _describe_object(value, around)


def _describe_object(value: Any, around: tuple[int, ...]) -> str:
    options = getattr(value, "__dict__", None)
    # What does something rather than stands for itself has a repr that is too short.
    hides = callable(value) or type(value).__repr__ is object.__repr__
    if not options or not hides or isinstance(value, type | types.ModuleType):
        return _without_addresses(repr(value))
    parts = [f"{key}={_describe(part, around)}" for key, part in sorted(options.items())]
    return f"{type(value).__module__}.{type(value).__name__}({', '.join(parts)})"


def _describe_code(code: types.CodeType) -> str:
    """Everything in the code of a function that decides what it computes, not where it stands."""
    constants = [
        _describe_code(value) if isinstance(value, types.CodeType) else _describe(value, ())
        for value in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {code.co_freevars} {constants}"


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (raises where nothing has been put in yet)
    except ValueError:
        return True
    return False


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


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


def file_sha256(path: Path) -> str:
    """SHA-256 of the contents of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
