"""Clips that were read already, kept until the import is finished, so that it can be resumed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from pyg_stgcn.datasets.importing.path_clips import PathClips
from pyg_stgcn.datasets.importing.recording_clips import LabelledClip
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.pose_clip import PoseClip
from pyg_stgcn.skeletons import Skeleton

_ARRAYS = ("joints", "scores", "tracks")
_ABOUT = "about"
#: Errors of files that were not written to their end.
_DAMAGED = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class ImportCache:
    """A folder with one file for every path that was read.

    Args:
        folder: The folder, beside the output.
        digest: Checksum of the context, see :class:`~.path_clips.ImportContext`.
    """

    folder: Path
    digest: str

    def file_of(self, path: Path) -> Path:
        """The file for a path; another one as soon as the path or an option has changed."""
        key = json.dumps([str(path), _stamp(path), self.digest])
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"

    def num_files(self) -> int:
        """Number of paths that were read."""
        return sum(1 for _ in self.folder.glob("[!.]*.npz"))

    @staticmethod
    def is_complete(file: Path) -> bool:
        """Whether a file was written to its end."""
        try:
            with zipfile.ZipFile(file) as archive:
                return archive.testzip() is None
        except _DAMAGED:
            return False

    @staticmethod
    def save(file: Path, found: PathClips) -> None:
        """Write the clips of a path.

        Raises:
            OSError: If the file cannot be written.
        """
        about = {
            "problems": found.problems,
            "lines": found.lines,
            "clips": [_describe(clip) for clip in found.clips],
        }
        arrays: dict[str, Any] = {
            f"{name}{i}": getattr(clip.poses, name)
            for i, clip in enumerate(found.clips)
            for name in _ARRAYS
        }
        text = json.dumps(about).encode("ascii")
        arrays[_ABOUT] = np.frombuffer(text, np.uint8)
        temporary = file.with_name(f".{file.stem}.{os.getpid()}.npz")
        # Without a sync to the disk, which takes longer than the reading: a file that a power cut
        # leaves incomplete is found out by its checksums.
        np.savez(temporary, **arrays)
        temporary.replace(file)

    @staticmethod
    def load(file: Path) -> PathClips:
        """Read what :meth:`save` has written."""
        with np.load(file, allow_pickle=False) as arrays:
            about = json.loads(arrays[_ABOUT].tobytes())
            clips = [
                _restore(described, [arrays[f"{name}{i}"] for name in _ARRAYS])
                for i, described in enumerate(about["clips"])
            ]
        problems = [(name, reason) for name, reason in about["problems"]]
        return PathClips(clips, problems, about["lines"])


@contextlib.contextmanager
def import_cache(out: Path, digest: str) -> Iterator[ImportCache]:
    """The cache of an import; it stays only if the import is stopped by a signal or a kill.

    Args:
        out: The output of the import.
        digest: Checksum of the context.

    Raises:
        InputError: If another process imports into the same file.
    """
    folder = cache_folder(out)
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{out}: another import into this file is running; wait for its end, or name another "
            "file"
        ) from None
    try:
        yield ImportCache(folder, digest)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()


def cache_folder(out: Path) -> Path:
    """The folder of the cache of an import."""
    return out.with_name(f".{out.name}.import")


def _stamp(path: Path) -> list[Any]:
    """Sizes and times of a file, or of all files in a folder."""
    if path.is_dir():
        with os.scandir(path) as entries:
            files = [(entry.name, entry.stat()) for entry in entries]
        return sorted([name, stat.st_size, stat.st_mtime_ns] for name, stat in files)
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _describe(clip: LabelledClip) -> dict[str, Any]:
    """All of a clip but its arrays."""
    own = {f.name: getattr(clip, f.name) for f in fields(clip) if f.name != "poses"}
    poses = {f.name: getattr(clip.poses, f.name) for f in fields(PoseClip) if f.name not in _ARRAYS}
    return own | {"poses": poses | {"skeleton": clip.poses.skeleton.to_dict()}}


def _restore(described: dict[str, Any], arrays: list[Any]) -> LabelledClip:
    poses = dict(described.pop("poses"))
    size = poses.pop("image_size")
    skeleton = Skeleton.from_dict(poses.pop("skeleton"))
    return LabelledClip(
        **described,
        poses=PoseClip(
            **poses,
            **dict(zip(_ARRAYS, arrays, strict=True)),
            image_size=None if size is None else tuple(size),
            skeleton=skeleton,
        ),
    )
