"""Clips that lie in a file each, in a folder or in zip archives that are not unpacked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

from pyg_stgcn.datasets.readers.reading import BadClip
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.datasets.store.parallel import map_chunks
from pyg_stgcn.errors import InputError
from pyg_stgcn.walk import walk

_LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class RawFile:
    """One raw file: a file of its own, or a member of a zip archive."""

    path: Path
    member: str = ""

    @property
    def inner(self) -> PurePosixPath:
        """Its path: all of it, or that within the archive."""
        return PurePosixPath(self.member or self.path.as_posix())

    def __str__(self) -> str:
        return f"{self.path}: {self.member}" if self.member else str(self.path)


def list_raw_files(path: Path, suffix: str) -> list[RawFile]:
    """The raw files in a zip archive, or in a folder and the zip archives in it.

    Args:
        path: The archive or the folder.
        suffix: How the names of the files end.

    Raises:
        InputError: If an archive cannot be read or there is no such file.
    """
    found = _list_folder(path, suffix) if path.is_dir() else _list_zip(path, suffix)
    if not found:
        raise InputError(
            f"{path}: holds no {suffix} file; name the folder or the zip archive that holds them "
            "with --source"
        )
    return found


def name_files(files: Iterable[RawFile], name: Callable[[RawFile], str]) -> dict[str, RawFile]:
    """The files by the names of their clips, sorted.

    Raises:
        InputError: If two files are the same clip.
    """
    named: dict[str, RawFile] = {}
    for file in files:
        other = named.setdefault(name(file), file)
        if other is not file:
            raise InputError(f"{file}: the same clip as {other}; take one of them away")
    return dict(sorted(named.items()))


def read_clips(
    read: Callable[[str, RawFile], Clip], files: Mapping[str, RawFile]
) -> Iterator[Clip | BadClip]:
    """Read files, on all cores if there are many.

    Args:
        read: Reads the clip of a name from a file; has to be picklable. Where it raises an
            InputError, the clip is given as a bad one.
        files: What to read, by the names of the clips.
    """
    try:
        yield from map_chunks(partial(_read_chunk, read=read), list(files.items()))
    finally:
        _shared_zip.cache_clear()


def read_bytes(file: RawFile) -> bytes:
    """The contents of a file.

    Raises:
        InputError: If it cannot be read, is damaged or far too large.
    """
    try:
        if not file.member:
            _check_size(file, file.path.stat().st_size)
            return file.path.read_bytes()
        archive = _shared_zip(file.path, os.getpid())
        _check_size(file, archive.getinfo(file.member).file_size)
        return archive.read(file.member)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}); check it") from error
    except InputError:
        raise
    except Exception as error:  # Damaged bytes make zlib and zipfile raise anything.
        raise InputError(
            f"{file}: is damaged ({type(error).__name__}: {error}); fetch the archive again"
        ) from error


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises:
        InputError: If it cannot be read or is damaged.
    """
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except Exception as error:  # Damaged bytes make zipfile raise more than BadZipFile.
        raise InputError(
            f"{path}: not a complete zip archive of {path.stat().st_size:,} bytes ({error}); "
            "fetch it again"
        ) from error


def _list_folder(folder: Path, suffix: str) -> list[RawFile]:
    found = []
    for parent, names in walk(folder):
        for name in names:
            path = Path(parent, name)
            if _is_raw(name, suffix):
                found.append(RawFile(path))
            elif path.suffix == ".zip":
                found += _list_zip(path, suffix)
    return found


def _list_zip(path: Path, suffix: str) -> list[RawFile]:
    with open_zip(path) as archive:
        members = archive.namelist()
    return [RawFile(path, member) for member in members if _is_raw(member.split("/")[-1], suffix)]


def _is_raw(name: str, suffix: str) -> bool:
    # Archivers of macOS add a hidden companion of the same ending to every file.
    return name.endswith(suffix) and not name.startswith(".")


@lru_cache(maxsize=8)
def _shared_zip(path: Path, process: int) -> zipfile.ZipFile:
    # Per process: a forked one would share the place in the file with its parent.
    return open_zip(path)


def _read_chunk(
    files: Sequence[tuple[str, RawFile]], read: Callable[[str, RawFile], Clip]
) -> list[Clip | BadClip]:
    return [_read_or_explain(name, file, read) for name, file in files]


def _read_or_explain(
    name: str, file: RawFile, read: Callable[[str, RawFile], Clip]
) -> Clip | BadClip:
    try:
        return read(name, file)
    except InputError as error:
        return BadClip(name, str(error))


def _check_size(file: RawFile, size: int) -> None:
    if size > _LARGEST_FILE:
        raise InputError(
            f"{file}: has {size:,} bytes, far too many for a clip; extract it again from the "
            "archive, or take it away"
        )
