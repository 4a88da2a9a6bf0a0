"""Measures of answers in a stream: per frame, per segment, and in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]
#: Overlaps at which the F1 of segments is usually given.
F1_OVERLAPS = (0.1, 0.25, 0.5)
#: Overlaps over which the mean average precision is averaged.
PRECISION_OVERLAPS = (0.1, 0.3, 0.5, 0.7)
#: Observed fractions of an action.
FRACTIONS = tuple(number / 20 for number in range(1, 21))


class Segment(NamedTuple):
    """A part of a recording with one class.

    Args:
        label: Number of the class.
        start: First frame.
        end: Frame after the last.
        score: Confidence of a found segment.
    """

    label: int
    start: int
    end: int
    score: float = 1.0


def accuracy_per_frame(answers: Labels, labels: Labels) -> float:
    """Fraction of the labelled frames with the right answer.

    Args:
        answers: Class of every frame ``[T]``; -1 for no answer, which is wrong.
        labels: Right class of every frame ``[T]``; -1 for none, which does not count.

    Returns:
        From 0 to 1; NaN without labelled frames.
    """
    labelled = labels >= 0
    return float((answers == labels)[labelled].mean()) if labelled.any() else float("nan")


def overlap(one: Segment, other: Segment) -> float:
    """Intersection over union of the frames of two segments, whatever their classes.

    Example:
        >>> overlap(Segment(0, 10, 20), Segment(0, 15, 25))
        0.3333333333333333
    """
    common = min(one.end, other.end) - max(one.start, other.start)
    total = max(one.end, other.end) - min(one.start, other.start)
    return common / total if common > 0 else 0.0


def f1_of_segments(
    found: Sequence[Sequence[Segment]], true: Sequence[Sequence[Segment]], least: float
) -> float:
    """F1 of segments, as of `Temporal Convolutional Networks for Action Segmentation and Detection
    <https://arxiv.org/abs/1611.05267>`_.

    A found segment is right if the true segment of its class that it overlaps most has not been
    found before, and they overlap enough. Counts are added up over the recordings.

    Args:
        found: Segments of every recording, in time.
        true: Segments of every recording.
        least: Least overlap, such as 0.5.

    Returns:
        From 0 to 1; NaN if there are neither found nor true segments.

    Example:
        >>> f1_of_segments([[Segment(0, 2, 10)]], [[Segment(0, 0, 10), Segment(1, 10, 30)]], 0.5)
        0.6666666666666666
    """
    hits = num_found = num_true = 0
    for own, right in zip(found, true, strict=True):
        free = [True] * len(right)
        for segment in own:
            shared = [
                overlap(segment, other) if other.label == segment.label else 0.0 for other in right
            ]
            best = int(np.argmax(shared)) if shared else -1
            if best >= 0 and shared[best] >= least and free[best]:
                free[best] = False
                hits += 1
        num_found, num_true = num_found + len(own), num_true + len(right)
    total = num_found + num_true
    return 2 * hits / total if total else float("nan")


def average_precision(
    found: Sequence[Sequence[Segment]], true: Sequence[Sequence[Segment]], least: float
) -> float:
    """Mean average precision of segments over the classes that have a true segment.

    Found segments of a class are sorted by score. Each is right if, of the true segments of its
    class in its recording that are still free, the one that it overlaps most overlaps enough. The
    average precision is the area under the curve of precision over recall, with the best precision
    at this recall or a higher one.

    Args:
        found: Segments of every recording, with scores.
        true: Segments of every recording.
        least: Least overlap.

    Returns:
        From 0 to 1; NaN without true segments.
    """
    classes = {segment.label for own in true for segment in own}
    values = [_precision_of_class(found, true, label, least) for label in sorted(classes)]
    return float(np.mean(values)) if values else float("nan")


def _precision_of_class(
    found: Sequence[Sequence[Segment]],
    true: Sequence[Sequence[Segment]],
    label: int,
    least: float,
) -> float:
    free = [[segment for segment in own if segment.label == label] for own in true]
    total = sum(map(len, free))
    ranked = sorted(
        ((place, segment) for place, own in enumerate(found) for segment in own),
        key=lambda pair: -pair[1].score,
    )
    hits = []
    for place, segment in ranked:
        if segment.label != label:
            continue
        best = max(free[place], key=lambda other: overlap(segment, other), default=None)
        hits.append(best is not None and overlap(segment, best) >= least)
        if hits[-1] and best is not None:
            free[place].remove(best)
    if not any(hits):
        return 0.0
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    best_later = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_later[np.array(hits)].sum() / total)


def delays(answers: Labels, true: Sequence[Segment], patience: int) -> list[int | None]:
    """Frames from the start of every action to the first right answer.

    Args:
        answers: Class of every frame at the moment it is given; -1 for none.
        true: The actions.
        patience: Frames after the end of an action in which an answer still counts.

    Returns:
        One for each action; None if there is no right answer in time.
    """
    result: list[int | None] = []
    for segment in true:
        right = np.flatnonzero(answers[segment.start : segment.end + patience] == segment.label)
        result.append(int(right[0]) if len(right) else None)
    return result


def false_alarms(found: Sequence[Segment], true: Sequence[Segment]) -> int:
    """Number of found segments that overlap no action of their class."""
    return sum(
        not any(other.label == segment.label and overlap(segment, other) > 0 for other in true)
        for segment in found
    )


def early_accuracy(
    answers: Labels, true: Sequence[Segment], fractions: Sequence[float] = FRACTIONS
) -> NDArray[np.float64]:
    """Fraction of the actions with the right answer when a fraction of them has been seen.

    Args:
        answers: Class of every frame at the moment it is given; -1 for none.
        true: The actions, at least one.
        fractions: Observed fractions, above 0 and up to 1.
    """
    right = [
        [
            answers[start + max(1, int(np.ceil(fraction * (end - start)))) - 1] == label
            for fraction in fractions
        ]
        for label, start, end, _ in true
    ]
    return np.asarray(right, np.float64).mean(axis=0)


def area_under(values: NDArray[np.float64], fractions: Sequence[float] = FRACTIONS) -> float:
    """Area under a curve over the observed fraction, from 0 (where nothing is right) to 1."""
    return float(np.trapezoid([0.0, *values], [0.0, *fractions]))
