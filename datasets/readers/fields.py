"""Checks of the fields of an annotation in PYSKL's format.

All functions raise one InputError that names the clip or annotation and the value.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyg_stgcn.errors import InputError

#: Labels have to be below this number.
MAX_CLASSES = 2**16
_LONGEST = 60
#: Of a name: no path is longer.
_LONGEST_TEXT = 4096
#: The label of a clip whose class is not known.
UNLABELLED = -1


def text(value: Any, what: str) -> str:
    """A text, or a number as text; :obj:`what` is its name in errors."""
    # The text of a nested container could be as long as its author likes.
    if not isinstance(value, str | int | np.integer):
        raise InputError(f"{what} is {reprlib.repr(value)}, not a text")
    found = str(value)
    if len(found) > _LONGEST_TEXT:
        raise InputError(
            f"{what} is {reprlib.repr(value)}, a text of {len(found)} characters; give at most "
            f"{_LONGEST_TEXT}"
        )
    # Half of a surrogate pair, which Python takes for a character, cannot be written as UTF-8.
    if not found.isascii() and any("\ud800" <= char <= "\udfff" for char in found):
        raise InputError(f"{what} is {reprlib.repr(value)}, which is no valid Unicode")
    return found


def read_name(i: int, annotation: dict[str, Any]) -> str:
    """The name of annotation number :obj:`i`."""
    name = annotation.get("frame_dir", annotation.get("filename"))
    if name is None:
        raise InputError(
            f"annotation {i} has neither frame_dir nor filename; give every clip a name"
        )
    return text(name, f"the name of annotation {i}")


def read_label(name: str, annotation: dict[str, Any]) -> int:
    """The class number of the clip :obj:`name`; :data:`UNLABELLED` if it has none, or -1."""
    label = annotation.get("label")
    if isinstance(label, np.ndarray) and label.ndim == 0:
        label = label[()]
    refuse_several_labels(label, f"clip {name!r} has label")
    if label is None:
        return UNLABELLED
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise InputError(
            f"clip {name!r} has label {reprlib.repr(label)}, which is no integer; number the "
            "classes, from 0 on"
        )
    if not (0 <= label < MAX_CLASSES or label == UNLABELLED):
        raise InputError(
            f"clip {name!r} has label {label}; labels are class numbers counted from 0, below "
            f"{MAX_CLASSES}, or -1 for a clip without one"
        )
    return int(label)


def refuse_several_labels(label: Any, what: str) -> None:
    """Refuse a list or vector of labels; :obj:`what` is the beginning of the error."""
    label = label.tolist() if isinstance(label, np.ndarray) else label
    if isinstance(label, list | tuple | set | dict):
        shown = reprlib.repr(label)
        # Every level of a nested list is as long as the last.
        shown = shown if len(shown) < _LONGEST else f"{shown[:_LONGEST]}..."
        raise InputError(
            f"{what} {shown}: several labels of one clip (multi-label) are not "
            "supported; give every clip one class number"
        )


def check_classes(names: list[str], labels: Sequence[int], where: str) -> list[str]:
    """The class names, if there is one for every label.

    Args:
        names: Class names in label order.
        labels: Labels of the clips, sorted.
        where: Where the names are from, in an error.
    """
    if len(names) > MAX_CLASSES:
        raise InputError(f"{where} names {len(names)} classes; there may be {MAX_CLASSES}")
    if labels and labels[-1] >= len(names):
        from_one = labels[0] == 1 and labels[-1] == len(names)
        remedy = (
            "labels seem to be counted from 1: subtract 1 from all"
            if from_one
            else "name all classes, or correct the labels, which are counted from 0"
        )
        raise InputError(
            f"{where} names {len(names)} classes, but there is a label {labels[-1]}; {remedy}"
        )
    return names


def check_distinct(classes: Sequence[str]) -> None:
    """Refuse two classes of one name."""
    numbers: dict[str, int] = {}
    for number, name in enumerate(classes):
        if numbers.setdefault(name, number) != number:
            raise InputError(
                f"two classes, {numbers[name]} and {number}, have the name {name!r}; give every "
                "class its own name"
            )


def read_splits(splits: Any) -> dict[str, list[str]]:
    """The names of the clips of every split."""
    if not isinstance(splits, dict):
        raise InputError(f"split is a {type(splits).__name__}, not a dict of lists of clip names")
    out = {}
    for key, names in splits.items():
        split = text(key, "the name of a split")
        names = names.tolist() if isinstance(names, np.ndarray) else names
        if not isinstance(names, list | tuple | set):
            raise InputError(f"split {split!r} is a {type(names).__name__}, not a list of names")
        texts = [text(name, f"a clip of split {split!r}") for name in names]
        # The order of a set of texts differs from process to process.
        out[split] = sorted(texts) if isinstance(names, set) else texts
    return out


def parse_size(size: Any) -> tuple[float, float] | None:
    """Height and width of an image; ``None`` if they are not two positive numbers."""
    try:
        height, width = (float(length) for length in size)
    except (TypeError, ValueError, OverflowError):
        return None
    return (height, width) if 0 < height < math.inf and 0 < width < math.inf else None


def read_image_size(name: str, size: Any) -> tuple[float, float]:
    """Height and width of the image of the clip :obj:`name`."""
    parsed = parse_size(size)
    if parsed is None:
        raise InputError(
            f"clip {name!r} has img_shape {reprlib.repr(size)}; it must be (height, width)"
        )
    return parsed
