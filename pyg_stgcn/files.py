"""Atomic writes, and checks for special files such as pipes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from pyg_stgcn.errors import InputError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` on a temporary name beside ``path``, then rename it to ``path``.

    The file gets the permissions of a new file, even if ``write`` sets others.

    Raises:
        OSError: The file cannot be written; the error names ``path``.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)  # by the umask; some writers give 0600
        write(temporary)
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut can leave the new name without content
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of the contents of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_special(path: Path) -> bool:
    """Whether a path is a pipe, socket or device."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # The caller gets the error when it opens the file.
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def check_is_file(path: Path) -> None:
    """Refuse a pipe, socket or device: reading it could block for ever.

    Raises:
        InputError: The path is one of these. Folders and missing files pass.
    """
    if is_special(path):
        raise InputError(
            f"{path}: is a pipe, socket or device, not a file; save its contents to a file and "
            "name that"
        )


def check_place(path: Path) -> None:
    """Check, before any work, that a file can be put where it is to be written.

    Raises:
        InputError: The path is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or name another one")


def remove_leftovers(path: Path) -> None:
    """Delete the temporary files of killed calls of :func:`write_atomically` for ``path``.

    Call it only while no other process writes the file.
    """
    for found in leftovers(path):
        found.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """Temporary files that calls of :func:`write_atomically` left for ``path``, in any process."""
    name = re.compile(rf"\.{re.escape(path.stem)}\.\d+{re.escape(path.suffix)}")
    folder = path.parent
    return [one for one in folder.iterdir() if name.fullmatch(one.name)] if folder.is_dir() else []
