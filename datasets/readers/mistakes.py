"""Warnings of mistakes that a user's own data may have."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_CLIPS_SHOWN, _CLASSES_SHOWN = 10, 5
#: Fraction of clips with more persons than frames from which on the axes may be swapped.
_NEARLY_ALL = 0.9


def list_skipped(skipped: Mapping[str, str]) -> str:
    """The first clips that are left out, a line each.

    Args:
        skipped: Why each clip is left out, by name.
    """
    lines = [
        f"  {reason}" if repr(name) in reason else f"  {name}: {reason}"
        for name, reason in islice(skipped.items(), _CLIPS_SHOWN)
    ]
    if len(skipped) > _CLIPS_SHOWN:
        more = len(skipped) - _CLIPS_SHOWN
        lines.append(f"  and {more} more; 'pyg-stgcn datasets info' (dataset.skipped) lists all")
    return "\n".join(lines)


def warn_of_likely_mistakes(
    where: object,
    classes: Sequence[str],
    labels: NDArray[np.int64],
    frames: NDArray[np.int64],
    persons: NDArray[np.int64],
) -> None:
    """Warn of clips and labels that are possible but seldom meant.

    Args:
        where: Name of the dataset.
        classes: Class names in label order.
        labels: Labels of all clips.
        frames: Their numbers of frames.
        persons: Their numbers of persons.
    """
    if np.mean(persons > frames) >= _NEARLY_ALL:
        worst = np.argmax(persons - frames)
        logger.warning(
            "%s: nearly all clips have more persons than frames (one has persons: %d, frames: %d); "
            "the axes may be [frames, persons, joints, channels]: if so, put them in order with "
            "array.transpose(1, 0, 2, 3)",
            where,
            persons[worst],
            frames[worst],
        )
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    empty = np.flatnonzero(counts == 0).tolist()
    if not empty:
        return
    if empty == [0]:
        logger.warning(
            "%s: no clip has the label 0, class %r; if labels are counted from 1, subtract 1 from "
            "all: class numbers are counted from 0",
            where,
            classes[0],
        )
        return
    more = f" and {len(empty) - _CLASSES_SHOWN} more" if len(empty) > _CLASSES_SHOWN else ""
    shown = ", ".join(f"{i} ({classes[i]})" for i in empty[:_CLASSES_SHOWN])
    logger.warning(
        "%s: %d of %d classes have no clip: %s%s; check the labels, which are class numbers "
        "counted from 0 without gaps",
        where,
        len(empty),
        len(classes),
        shown,
        more,
    )
