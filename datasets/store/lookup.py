"""Find a clip by its name or number."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from pyg_stgcn.errors import InputError
from pyg_stgcn.text import suggestion

if TYPE_CHECKING:
    from pyg_stgcn.datasets.base import SkeletonDataset

#: Names to compare on each side of where a mistyped one would stand; all would take seconds.
_NEARBY = 200


def find_clip(dataset: SkeletonDataset, clip: str) -> int:
    """The number of a clip in a dataset.

    Args:
        dataset: Where to look.
        clip: The clip's name, or else its number, counted from 0.

    Raises:
        InputError: If there is no such clip; the message names those with a similar name.
    """
    names = dataset.names
    if clip in names:
        return names.index(clip)
    # No dataset has a milliard clips, and Python refuses to read numbers of thousands of digits.
    if clip.isdecimal() and len(clip) < 10 and int(clip) < len(names):
        return int(clip)
    hint = suggestion(clip, _neighbours(clip, names), most=3)
    raise InputError(
        f"clip {clip!r}: {dataset.name} has no such clip{hint}; "
        f"give a name, or a number from 0 to {len(names) - 1}"
    )


def _neighbours(clip: str, names: list[str]) -> list[str]:
    """Names that begin or end most like one that may have a mistake in between."""
    backwards = (name[::-1] for name in _around(clip[::-1], [name[::-1] for name in names]))
    return sorted({*_around(clip, names), *backwards})


def _around(word: str, words: list[str]) -> list[str]:
    ordered = sorted(words, key=str.casefold)
    place = bisect.bisect(ordered, word.casefold(), key=str.casefold)
    return ordered[max(0, place - _NEARBY) : place + _NEARBY]
