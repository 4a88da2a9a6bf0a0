"""Calibration: probabilities that are right as often as they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyg_stgcn.errors import InputError

#: The temperatures that are tried.
LOWEST, HIGHEST = 0.01, 100.0
#: Steps of a search that halves an interval: far below the precision of a float of 32 bits.
_HALVINGS = 60


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of the classes.

    Args:
        logits: ``[..., classes]``.
        temperature: They are divided by it; above 1 the probabilities are closer to each other.
    """
    scores = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return found


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that calibrates ``softmax(logits / temperature)``.

    It minimises the negative log likelihood of clips that the model has not been trained on, as in
    `On Calibration of Modern Neural Networks <https://arxiv.org/abs/1706.04599>`_. One clip more of
    which any class may be right is added, so that N clips that are all right get probabilities
    near N / (N + 1), not 1. No answer of the model changes, only its probability.

    Args:
        logits: ``[clips, classes]``.
        labels: The right classes ``[clips]``.

    Returns:
        The temperature, from 0.01 to 100; 1 without clips, or if all logits of each clip are equal.

    Raises:
        InputError: If logits are not finite, or the shapes or labels do not fit.

    Example:
        >>> fit_temperature([[8.0, 0.0], [8.0, 0.0], [8.0, 0.0]], [0, 0, 1])
        15.66...
    """
    scores, right = _checked(logits, labels, "logits")
    scores = scores - scores.max(axis=1, keepdims=True, initial=-np.inf)
    if not scores.any():
        return 1.0
    wanted = scores[np.arange(len(right)), right].sum() + scores.mean()

    def slope(inverse: float) -> float:
        """Derivative of the convex loss by 1 / temperature."""
        expected = (softmax(scores, 1 / inverse) * scores).sum(axis=1)
        return float(expected.sum() + expected.mean() - wanted)

    low, high = np.log(1 / HIGHEST), np.log(1 / LOWEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(float(np.exp(middle))) > 0 else (middle, high)
    return float(np.clip(np.exp(-(low + high) / 2), LOWEST, HIGHEST))


def calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """The expected calibration error: how far confidence and accuracy are apart.

    Clips are put into bins of equal width by the probability of their answer; it is the mean
    distance between the mean probability and the accuracy of a bin, weighted by its clips.

    Args:
        probabilities: ``[clips, classes]``.
        labels: The right classes ``[clips]``.
        bins: Number of bins.

    Returns:
        From 0, well calibrated, to 1; 0 without clips.

    Raises:
        InputError: As :func:`fit_temperature`.

    Example:
        >>> calibration_error([[0.8, 0.2], [0.8, 0.2]], [0, 1])
        0.30...
    """
    found, right = _checked(probabilities, labels, "probabilities")
    if not len(right):
        return 0.0
    confidence = found.max(axis=1)
    surplus = confidence - (found.argmax(axis=1) == right)
    number = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(number, surplus, bins)).sum() / len(right))


def _checked(
    rows: ArrayLike, labels: ArrayLike, name: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values, right = np.asarray(rows, np.float64), np.asarray(labels)
    if values.ndim != 2 or right.shape != values.shape[:1] or not values.shape[1]:
        raise InputError(
            f"{name} of the shape {list(values.shape)} and labels of the shape "
            f"{list(right.shape)} do not fit; give [clips, classes] and [clips]"
        )
    if not np.isfinite(values).all():
        raise InputError(f"{name} are not finite; the training has diverged")
    if len(right) and not 0 <= right.min() <= right.max() < values.shape[1]:
        raise InputError(
            f"labels from {right.min()} to {right.max()}, but there are {values.shape[1]} classes"
        )
    return values, right.astype(np.int64)
