"""Folders within folders, linked ones too."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder in a folder, and the names of its files.

    Links to folders are followed, after all folders that are there themselves. Each folder comes
    once, under the first path that leads to it, so that links in a circle end. Pipes, sockets and
    devices, from which a read could wait for ever, are left out.
    """
    seen: set[tuple[int, int]] = set()
    pending = deque([str(folder)])
    while pending:
        stack = [pending.popleft()]
        while stack:
            parent = stack.pop()
            stat = os.stat(parent)  # noqa: PTH116 (a path object for each folder takes longer)
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            names, inner = _list(parent)
            stack += [path for path, is_link in reversed(inner) if not is_link]
            pending.extend(path for path, is_link in inner if is_link)
            yield parent, names


def _list(folder: str) -> tuple[list[str], list[tuple[str, bool]]]:
    """The names of the files in a folder, and the folders in it, sorted, and which are links."""
    names, inner = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    inner.append((entry.path, entry.is_symlink()))
                elif entry.is_file():
                    names.append(entry.name)
    except OSError:  # A folder that may not be read.
        pass
    return names, sorted(inner)
