"""Accuracies and the confusion matrix of class probabilities."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, top_k_accuracy_score


def classification_metrics(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> dict[str, float]:
    """Top-1, top-5 and mean class accuracy.

    Mean class accuracy averages the recall of the classes that occur in ``labels``; a class that is
    only predicted does not count.

    Args:
        probabilities: Class probabilities ``[N, num_classes]``.
        labels: Classes ``[N]``.

    >>> classification_metrics(np.eye(3)[[0, 1, 1]], np.array([0, 1, 2]))["top1"]
    0.6666666666666666
    """
    num_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        mean_class = balanced_accuracy_score(labels, predicted)
    top5 = 1.0
    if num_classes > 5:
        top5 = top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(num_classes))
    return {
        "top1": float((predicted == labels).mean()),
        "top5": float(top5),
        "mean_class": float(mean_class),
    }


def confusion(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Counts ``[num_classes, num_classes]``: rows are the true classes, columns the predicted."""
    classes = np.arange(probabilities.shape[1])
    return confusion_matrix(labels, probabilities.argmax(axis=1), labels=classes)
