"""Files of one frame each: the recordings that they belong to, and the numbers of the frames."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pyg_stgcn.errors import InputError

#: Years of video; a number above it is a time or an identifier, and no number of a frame.
MAX_FRAME_NUMBER = 1_000_000_000
#: Most frames between the first and the last of a recording: four days at 30 frames a second.
MAX_FRAMES = 10_000_000
#: ``walk_000000000012_keypoints``: the last number in a name is that of the frame.
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


@dataclass(frozen=True)
class FrameFiles:
    """The files of one recording, one file a frame.

    Args:
        name: Name of the recording: the part of the file names before the number, or the name of
            the folder if all its files belong together.
        folder: The folder.
        names: Names of the files, by number.
        numbers: Numbers of the frames, in ascending order.
    """

    name: str
    folder: Path
    names: list[str]
    numbers: list[int]

    def paths(self) -> Iterator[Path]:
        """The files, by number."""
        return (self.folder / name for name in self.names)


def group_frame_files(folder: Path, names: Iterable[str]) -> list[FrameFiles]:
    """Divide the files of a folder into recordings by their names.

    Two files belong together if their names differ in the last number only, as in
    ``walk_000000000012_keypoints.json``. Files without a number are recordings of one frame.

    Raises:
        InputError: Two files have the same number.
    """
    groups: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in sorted(names):
        stem, dot, ending = name.rpartition(".")
        found = _NUMBERED.fullmatch(stem if dot else name)
        prefix, number, suffix = found.groups() if found else (stem or name, "0", "")
        groups[prefix, suffix + dot + ending].append((int(number), name))
    return [_frame_files(folder, prefix, files) for (prefix, _), files in groups.items()]


def _frame_files(folder: Path, prefix: str, files: list[tuple[int, str]]) -> FrameFiles:
    files.sort()
    for (number, name), (following, other) in pairwise(files):
        if number == following:
            raise InputError(
                f"{folder}: {name} and {other} are both frame {number}; remove one of them"
            )
    name = prefix.removesuffix("_keypoints").rstrip("_-. ") or folder.resolve().name
    return FrameFiles(name, folder, [name for _, name in files], [number for number, _ in files])


def check_numbers(path: Path, first: int, last: int) -> None:
    """Check the numbers of the first and the last frame before memory is reserved for them.

    Raises:
        InputError: They are negative, or too far from each other for a recording.
    """
    if first < 0 or last > MAX_FRAME_NUMBER:
        wrong = first if first < 0 else last
        raise InputError(
            f"{path}: there is a frame number {wrong}, not one from 0 to {MAX_FRAME_NUMBER:,}; "
            "number the frames of the recording one after the other"
        )
    if last - first >= MAX_FRAMES:
        raise InputError(
            f"{path}: frames are numbered from {first} to {last}, more than {MAX_FRAMES:,} frames; "
            "number the frames of the recording one after the other, or divide it"
        )
