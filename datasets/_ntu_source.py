"""Raw ``.skeleton`` files in a folder or in zip archives, and the clips in them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

from pyg_stgcn.datasets._ntu_file import parse_recording
from pyg_stgcn.datasets._ntu_names import parse_name
from pyg_stgcn.datasets._ntu_persons import all_bodies, select_persons
from pyg_stgcn.datasets._parallel import map_chunks
from pyg_stgcn.datasets.reading import BadClip
from pyg_stgcn.datasets.store import Clip
from pyg_stgcn.errors import InputError

_LARGEST_FILE = 64 * 2**20
_SUFFIX = ".skeleton"


@dataclass(frozen=True)
class RawFile:
    """One raw file: a file of its own, or a member of a zip archive."""

    path: Path
    member: str = ""

    @property
    def clip(self) -> str:
        return PurePosixPath(self.member or self.path.as_posix()).name.removesuffix(_SUFFIX)

    def __str__(self) -> str:
        return f"{self.path}: {self.member}" if self.member else str(self.path)


def list_raw_files(path: Path) -> list[RawFile]:
    """The raw files in a zip archive, or in a folder and the zip archives in it, by clip name.

    Raises:
        InputError: If an archive cannot be read, there is no raw file, or two files have the same
            name.
    """
    found = _list_folder(path) if path.is_dir() else _list_zip(path)
    if not found:
        raise InputError(
            f"{path}: holds no {_SUFFIX} file; name the folder or the zip archive that holds the "
            "raw files of NTU RGB+D with --source"
        )
    files: dict[str, RawFile] = {}
    for file in found:
        other = files.setdefault(file.clip, file)
        if other is not file:
            raise InputError(f"{file}: the same clip as {other}; take one of them away")
    return [files[clip] for clip in sorted(files)]


def read_clips(files: Sequence[RawFile], raw_bodies: bool) -> Iterator[Clip | BadClip]:
    """Read raw files, on all cores if there are many.

    Args:
        files: What to read.
        raw_bodies: Whether to give all bodies with their tracking states instead of the persons.
    """
    try:
        yield from map_chunks(partial(_read_chunk, raw_bodies=raw_bodies), files)
    finally:
        _shared_zip.cache_clear()


def _list_folder(folder: Path) -> list[RawFile]:
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if _is_raw(name):
                found.append(RawFile(path))
            elif path.suffix == ".zip":
                found += _list_zip(path)
    return found


def _list_zip(path: Path) -> list[RawFile]:
    with _open_zip(path) as archive:
        members = archive.namelist()
    return [RawFile(path, member) for member in members if _is_raw(PurePosixPath(member).name)]


def _is_raw(name: str) -> bool:
    # Archivers of macOS add a hidden companion of the same ending to every file.
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: not a complete zip archive ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


@lru_cache(maxsize=8)
def _shared_zip(path: Path, process: int) -> zipfile.ZipFile:
    # Per process: a forked one would share the place in the file with its parent.
    return _open_zip(path)


def _read_chunk(files: Sequence[RawFile], raw_bodies: bool) -> list[Clip | BadClip]:
    return [_read_or_explain(file, raw_bodies) for file in files]


def _read_or_explain(file: RawFile, raw_bodies: bool) -> Clip | BadClip:
    try:
        return _read_clip(file, raw_bodies)
    except InputError as error:
        return BadClip(file.clip, str(error))


def _read_clip(file: RawFile, raw_bodies: bool) -> Clip:
    where = str(file)
    recording = parse_recording(_read_bytes(file), where, tracking=raw_bodies)
    keypoint = all_bodies(recording, where) if raw_bodies else select_persons(recording)
    return Clip(file.clip, parse_name(file.clip, where).label, keypoint)


def _read_bytes(file: RawFile) -> bytes:
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


def _check_size(file: RawFile, size: int) -> None:
    if size > _LARGEST_FILE:
        raise InputError(
            f"{file}: has {size:,} bytes, far too many for a clip; extract it again from the "
            "archive, or take it away"
        )
