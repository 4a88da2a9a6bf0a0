"""Ranges of all numbers that a user may set, on the command line and in Python alike."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from pyg_stgcn.errors import InputError


@dataclass(frozen=True)
class Range:
    """Numbers between two limits, which are finite.

    Args:
        low: The lower limit.
        high: The upper limit.
        low_open: Whether the lower limit itself is not in the range.
        high_open: Whether the upper limit itself is not in the range.
        whole: Whether only whole numbers are in the range.
    """

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number: Any = value  # Whole numbers of any size compare as they are.
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        # Not a number is neither.
        return bool(above and below)

    def __str__(self) -> str:
        if self.whole:
            return f"whole numbers from {self.low} to {self.high}"
        return f"{'[('[self.low_open]}{self.low}, {self.high}{'])'[self.high_open]}"


def whole(low: int, high: int) -> Range:
    """Whole numbers, both limits included."""
    return Range(low, high, whole=True)


def check_range(name: str, value: object, allowed: Range) -> None:
    """Check the value of an argument.

    Raises:
        InputError: It is not in the range.
    """
    if value not in allowed:
        raise InputError(f"{name} {value!r}: is out of range; choose from {allowed}")


#: Fraction to remove: never all.
FRACTION = Range(0, 1, high_open=True)
#: Fraction to keep, or fraction of the training.
UP_TO_ALL = Range(0, 1)
#: Fraction that is neither nothing nor all.
PART = Range(0, 1, low_open=True, high_open=True)

# The upper limits are far above sensible values, and below values that overflow, hang or do not fit
# into any memory.
FRAMES = whole(1, 100_000)
PERSONS = whole(1, 1_000)
CHANNELS = whole(1, 1_024)
STAGES = whole(1, 100)
BATCH = whole(1, 65_536)
VIEWS = whole(1, 1_000)
PROCESSES = whole(1, 1_024)
ROUNDS = whole(1, 100_000)
FPS = whole(1, 50)
#: Clips of a recording that is joined from clips, and frames between two of them.
JOINED = whole(1, 1_000_000)
PAUSE = whole(0, 100_000)
#: Frames per second of a recording.
FRAME_RATE = Range(0, 10_000, low_open=True)
#: Seeds that all random number generators accept.
SEED = whole(0, 2**32 - 1)
WEIGHT = Range(0, 1_000_000)
#: Weight of a class in the loss; far from rounding to zero or infinity in single precision.
CLASS_WEIGHT = Range(1e-6, 1_000_000)
DECAY = Range(0, 10)
