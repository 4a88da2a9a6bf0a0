"""Recognise whether a store still fits the source and the transform that it was built from."""

from __future__ import annotations

import hashlib
import os
import re
import time
import types
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch_geometric.transforms import Compose

#: Of a folder with more files than these, only the folders are looked at first: asking for the size
#: and time of 100,000 files takes half a second.
_MANY_FILES = 1000
#: The coarsest clock of a file system, FAT's, in nanoseconds.
_CLOCK_TICK = 2 * 10**9


def source_fingerprint(path: Path, suffixes: tuple[str, ...] = ()) -> dict[str, Any]:
    """What is needed to recognise a source.

    Args:
        path: A file or a folder.
        suffixes: Endings of the files that count in a folder.

    Returns:
        Of a file its size, modification time and SHA-256. Of a folder the number of its files and
        the SHA-256 of their names, sizes and modification times: contents would take too long. If
        there are many files, also the modification times of the folder and those within.
    """
    if path.is_dir():
        return _folder_fingerprint(path, suffixes)
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file_sha256(path)}


def same_source(path: Path, fingerprint: Mapping[str, Any], suffixes: tuple[str, ...] = ()) -> bool:
    """Whether a source has the contents that were recorded; a mere copy of a file has.

    In a folder of many files, one that is overwritten under its name is not noticed as long as no
    file is added, removed or renamed: that would not change the time of its folder.
    """
    if path.is_dir():
        if _same_folders(path, fingerprint.get("folders", {})):
            return True
        found = _folder_fingerprint(path, suffixes)
        return all(found[key] == fingerprint.get(key) for key in ("files", "sha256"))
    stat = path.stat()
    if stat.st_size != fingerprint.get("size"):
        return False
    if stat.st_mtime_ns == fingerprint["mtime_ns"]:
        return True
    return file_sha256(path) == fingerprint["sha256"]


def describe_transform(transform: Callable[..., Any] | None) -> str | None:
    """Describe a transform so that two that compute different things are told apart.

    The usual ``repr`` of a transform hides its options, and that of a function is its address.
    """
    if transform is None:
        return None
    if isinstance(transform, Compose):
        return " > ".join(str(describe_transform(part)) for part in transform.transforms)
    if isinstance(transform, types.FunctionType):
        code = transform.__code__
        cells = [cell.cell_contents for cell in transform.__closure__ or ()]
        text = _without_addresses(repr((code.co_consts, cells, transform.__defaults__)))
        checksum = zlib.crc32(code.co_code + text.encode())
        return f"{transform.__module__}.{transform.__qualname__}#{checksum:08x}"
    options = getattr(transform, "__dict__", None)
    if not options:
        return _without_addresses(repr(transform))
    text = ", ".join(f"{key}={value!r}" for key, value in sorted(options.items()))
    return _without_addresses(f"{type(transform).__module__}.{type(transform).__name__}({text})")


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def _folder_fingerprint(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Any]:
    started = time.time_ns()
    lines = []
    folders = {}
    for parent, _, names in os.walk(folder):
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
