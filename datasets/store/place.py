"""The folder of a store: its replaceable files, and the names of those being built."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from pyg_stgcn.errors import InputError

_MARKER = "meta.json"


def check_place(folder: Path, files: Collection[str]) -> None:
    """Refuse to put a store where something else is.

    A folder is a store if it is empty, or holds a ``meta.json`` of one; one that is damaged will do
    if all other files are those of a store.

    Args:
        folder: Where the store shall be.
        files: Names of the files of a store.

    Raises:
        InputError: If something else is there.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_dir() and (not any(folder.iterdir()) or _is_store(folder, files)):
        return
    raise InputError(
        f"{folder}: is in the place of a prepared dataset but is none, and is not replaced; move "
        "it away, or choose another folder with --root"
    )


def _is_store(folder: Path, files: Collection[str]) -> bool:
    marker = folder / _MARKER
    if not marker.is_file():
        return False
    try:
        if {"format", "id", "files"} <= json.loads(marker.read_bytes())["store"].keys():
            return True
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return all(path.name in files for path in folder.iterdir())


def make_temporary(folder: Path) -> Path:
    """Make a folder beside a store to build it in, with the permissions of any new folder."""
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp"
    temporary.mkdir()
    return temporary


def remove_leftovers(folder: Path, files: Collection[str]) -> None:
    """Remove what a build that was killed left behind; the caller holds the lock of the store."""
    name = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}\.tmp")
    ours = {*files, folder.name}  # The old store, where the kill came while it was replaced.
    for path in folder.parent.iterdir():
        if not name.fullmatch(path.name) or not path.is_dir():
            continue
        if all(inner.name in ours for inner in path.iterdir()):
            shutil.rmtree(path, ignore_errors=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Give a folder that :func:`make_temporary` has made the name of the store."""
    # A folder that is not empty cannot be replaced in one step, so the old one is moved away.
    if folder.exists() or folder.is_symlink():
        old = make_temporary(folder)
        folder.replace(old / folder.name)
        new.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        new.replace(folder)
