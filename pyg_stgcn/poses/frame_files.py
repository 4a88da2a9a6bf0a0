"""Files of one frame each, and the recordings that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.frame_names import (
    check_numbers,
    common_step,
    number_times,
    parse_frame_name,
    recording_name,
)


@dataclass(frozen=True)
class FrameFiles:
    """The files of one recording, one file a frame.

    Args:
        name: Name of the recording: the part of the file names before the number, or the name of
            the folder if all its files belong together.
        folder: The folder.
        names: Names of the files, by number.
        numbers: Numbers of the frames, in ascending order.
        fps: Frames per second, if the names contain the time.
    """

    name: str
    folder: Path
    names: list[str]
    numbers: NDArray[np.int64]
    fps: float | None = None

    @property
    def path(self) -> Path:
        """The folder, or the only file."""
        return self.folder if len(self.names) > 1 else self.folder / self.names[0]

    @property
    def step(self) -> int:
        """Difference between the numbers of consecutive frames."""
        return common_step(self.numbers)

    @property
    def num_frames(self) -> int:
        """Length from the first to the last frame, with gaps."""
        return int(self.numbers[-1] - self.numbers[0]) // self.step + 1

    def paths(self) -> Iterator[Path]:
        """The files, by number."""
        return (self.folder / name for name in self.names)


def group_names(names: Iterable[str]) -> list[list[str]]:
    """Divide names into recordings: those of one recording differ in the last number only."""
    groups: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[parse_frame_name(name).recording].append(name)
    return list(groups.values())


def frame_files(folder: Path, names: Iterable[str]) -> FrameFiles:
    """The recording of files whose names differ in their numbers only.

    A file without a number is frame 0.

    Raises:
        InputError: Two files have the same number, or a number is too large.
    """
    names = list(names)
    found = [parse_frame_name(name).number for name in names]
    order = sorted(range(len(names)), key=found.__getitem__)
    names, found = [names[place] for place in order], [found[place] for place in order]
    for place, (number, following) in enumerate(pairwise(found)):
        if number == following:
            raise InputError(
                f"{folder}: {names[place]} and {names[place + 1]} are both frame {number}; remove "
                "one of them"
            )
    first = parse_frame_name(names[0])
    fps = None
    if first.is_time:
        numbers, fps = number_times(np.array(found, np.int64))
    else:
        check_numbers(folder / names[-1], found[0], found[-1])
        numbers = np.array(found, np.int64)
    name = recording_name(first.prefix) or folder.resolve().name
    return FrameFiles(name, folder, names, numbers, fps)
