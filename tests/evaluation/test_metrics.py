from __future__ import annotations

import numpy as np
import pytest

from pyg_stgcn.evaluation.metrics import classification_metrics, confusion


def test_closed_form() -> None:
    probabilities = np.eye(7)[[0, 0, 1, 6]] * 0.5 + np.linspace(0.06, 0, 7)
    labels = np.array([0, 0, 0, 2])
    metrics = classification_metrics(probabilities, labels)
    assert metrics["top1"] == 2 / 4
    # Class 2 is third in the last row; class 1 is only predicted, so it does not count.
    assert metrics["top5"] == 1.0
    assert metrics["mean_class"] == pytest.approx((2 / 3 + 0) / 2)
    counts = confusion(probabilities, labels)
    assert counts.shape == (7, 7)
    assert counts[0, 0] == 2 and counts[0, 1] == 1 and counts[2, 6] == 1 and counts.sum() == 4


def test_top5_of_five_classes_is_certain() -> None:
    probabilities = np.full((3, 5), 0.2)
    assert classification_metrics(probabilities, np.array([0, 1, 2]))["top5"] == 1.0


def test_top5_counts_the_sixth_place_as_wrong() -> None:
    probabilities = np.tile(np.arange(6, 0, -1) / 21, (6, 1))
    assert classification_metrics(probabilities, np.arange(6))["top5"] == pytest.approx(5 / 6)
