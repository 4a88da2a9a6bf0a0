"""Videos in folders, and where the poses of each are written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import is_video
from pyg_stgcn.files import check_is_file
from pyg_stgcn.walk import walk

#: Bytes by which a video is recognised.
_HEAD = 1024


def plan_pose_files(
    videos: Iterable[str | os.PathLike[str]], out: str | os.PathLike[str]
) -> dict[Path, Path]:
    """The file of poses that is to be written for each video.

    Args:
        videos: Videos, and folders of them. Of a folder, all files that are videos count, those in
            folders within it too; files named one by one count whatever they are.
        out: The file, if it ends in ``.json``, for one video. Else a folder, in which each video of
            a folder has the same place as there.

    Raises:
        InputError: There is no video, two would be written to the same file, or several to one.
    """
    out = Path(out)
    found: list[tuple[Path, Path]] = []
    for path in map(Path, videos):
        if path.is_dir():
            found += [(video, video.relative_to(path)) for video in _videos_in(path)]
        else:
            check_is_file(path)
            if not path.exists():
                raise InputError(f"{path}: there is no such file; name a video or a folder of them")
            found.append((path, Path(path.name)))
    if out.suffix.lower() == ".json":
        if len(found) > 1:
            raise InputError(
                f"out: {out} is one file for {len(found)} videos; name a folder, in which each "
                "gets a file"
            )
        return {video: out for video, _ in found}
    planned: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for video, place in found:
        target = out / place.with_suffix(".json")
        if (other := taken.setdefault(target, video)) != video:
            raise InputError(
                f"{other} and {video}: the poses of both would be written to {target}; rename one, "
                "or write them to different folders"
            )
        planned[video] = target
    return planned


def _videos_in(folder: Path) -> list[Path]:
    videos = sorted(
        Path(parent, name)
        for parent, names in walk(folder)
        for name in names
        if not name.startswith(".") and looks_like_video(Path(parent, name))
    )
    if not videos:
        raise InputError(f"{folder}: contains no video; name a video or a folder of them")
    return videos


def looks_like_video(path: Path) -> bool:
    """Whether a file is a video, by its first bytes."""
    try:
        with path.open("rb") as file:
            return is_video(file.read(_HEAD))
    except OSError:  # Named and reported where a video is opened.
        return False
