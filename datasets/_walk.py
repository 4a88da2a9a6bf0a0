"""Folders within folders, linked ones too."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder in a folder, and the names of its files.

    Links to folders are followed, after all folders that are there themselves. Each folder comes
    once, under the first path that leads to it, so that links in a circle end.
    """
    seen: set[tuple[int, int]] = set()
    pending = deque([str(folder)])
    while pending:
        for parent, inner, names in os.walk(pending.popleft()):
            stat = os.stat(parent)  # noqa: PTH116 (a path object for each folder takes longer)
            if (stat.st_dev, stat.st_ino) in seen:
                inner.clear()
                continue
            seen.add((stat.st_dev, stat.st_ino))
            inner.sort()
            paths = (os.path.join(parent, name) for name in inner)  # noqa: PTH118
            pending.extend(path for path in paths if os.path.islink(path))  # noqa: PTH114
            yield parent, names
