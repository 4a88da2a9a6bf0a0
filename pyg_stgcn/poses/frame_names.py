"""Names of images and files: the recording that they belong to, and the number of the frame."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError

#: A larger number is a time or an identifier, not the number of a frame.
MAX_NUMBER = 10**9
#: Most frames between the first and the last of a recording: four days at 30 frames a second.
MAX_FRAMES = 10**7
#: Digits of a number that are read.
_MAX_DIGITS = 20
#: ``walk_000000000012_keypoints``: the last number in a name is that of the frame.
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
#: ``2018-07-04T12_06_21.055272``, with any characters between the parts.
_TIME = re.compile(
    r"(.*?)(\d{4})-(\d\d)-(\d\d)[T _-](\d\d)[:_.-]?(\d\d)[:_.-]?(\d\d)[.,_](\d{3,6})(\D*)",
    re.DOTALL,
)


class FrameName(NamedTuple):
    """A name taken apart.

    Args:
        prefix: Text before the number.
        suffix: Text after the number.
        number: The number; 0 if there is none, microseconds for a time.
        is_time: Whether the name contains a date and a time instead of a number.
    """

    prefix: str
    suffix: str
    number: int
    is_time: bool = False

    @property
    def recording(self) -> tuple[str, str, bool]:
        """The same for all frames of one recording."""
        return self.prefix, self.suffix, self.is_time


def parse_frame_name(name: str) -> FrameName:
    """Take apart a name such as ``walk_000000000012_keypoints.json``.

    The last number before the ending is that of the frame. A date and time with fractions of a
    second, as cameras write them, counts as a whole.

    Example:
        >>> parse_frame_name("walk_0012_keypoints.json")
        FrameName(prefix='walk_', suffix='_keypoints.json', number=12, is_time=False)
    """
    stem, dot, ending = name.rpartition(".")
    if not dot or ending.isdigit():
        stem, dot, ending = name, "", ""
    if (found := _TIME.fullmatch(stem)) is not None:
        *date, fraction = found.groups()[1:-1]
        try:
            year, month, day, hour, minute, second = map(int, date)
            time = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        except ValueError:
            pass
        else:
            number = int(time.timestamp()) * 10**6 + int(fraction.ljust(6, "0"))
            return FrameName(found[1], found[9] + dot + ending, number, True)
    if (found := _NUMBERED.fullmatch(stem)) is not None:
        # Python refuses to convert thousands of digits; fewer are too large for a frame too.
        digits = found[2].lstrip("0")[:_MAX_DIGITS]
        return FrameName(found[1], found[3] + dot + ending, int(digits or 0))
    return FrameName(stem, dot + ending, 0)


def recording_name(prefix: str) -> str:
    """Name of a recording whose frames have names with this text before the number."""
    return prefix.removesuffix("_keypoints").rstrip("_-. /\\")


def number_times(times: NDArray[Any]) -> tuple[NDArray[np.int64], float | None]:
    """Frame numbers and frame rate of images or rows that have a time.

    The median distance is that of consecutive frames; where a frame comes later, the numbers have a
    gap.

    Args:
        times: Times in ascending order, without repetition.

    Returns:
        Numbers from 0, and frames per second if the times are in microseconds; None for a single
        frame.
    """
    distances = np.diff(times)
    if len(distances) == 0:
        return np.zeros(len(times), np.int64), None
    median = float(np.median(distances))
    # A gap that no recording has stays within 64 bits.
    steps = np.clip(np.rint(distances / median), 1, 2**40).astype(np.int64)
    return np.concatenate([[0], np.cumsum(steps)]), round(1e6 / median, 3)


def check_numbers(where: object, first: int, last: int) -> None:
    """Check the numbers of the first and the last frame before memory is reserved for them.

    Args:
        where: File or folder, for the error.
        first: The smallest number.
        last: The largest number.

    Raises:
        InputError: They are negative, or too far from each other for a recording.
    """
    if first < 0 or last > MAX_NUMBER:
        wrong = first if first < 0 else last
        raise InputError(
            f"{where}: frame number {wrong} is not from 0 to {MAX_NUMBER:,}; number the frames of "
            "the recording one after the other"
        )
    if last - first >= MAX_FRAMES:
        raise InputError(
            f"{where}: frames are numbered from {first} to {last}, more than {MAX_FRAMES:,} "
            "frames; number the frames of the recording one after the other, or divide it"
        )


def common_step(numbers: NDArray[np.int64]) -> int:
    """Difference between consecutive frames: 10 where every tenth frame of a video was kept.

    It is 1 unless at least two frames in three follow the one before at the same distance, of which
    all other distances are multiples.

    Args:
        numbers: Frame numbers in ascending order, without repetition.
    """
    differences = np.diff(numbers)
    if len(differences) < 2:
        return 1
    step = int(np.gcd.reduce(differences))
    return step if 3 * (differences == step).sum() >= 2 * len(differences) else 1
