"""Measures of streams against values by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pyg_stgcn.evaluation.stream_metrics import (
    Segment,
    accuracy_per_frame,
    area_under,
    average_precision,
    delays,
    early_accuracy,
    f1_of_segments,
    false_alarms,
    overlap,
)

TRUE = [Segment(0, 0, 10), Segment(1, 10, 30), Segment(0, 40, 50)]


def test_accuracy_counts_labelled_frames_alone() -> None:
    answers, labels = np.array([0, 1, -1, 2, 2]), np.array([0, 0, 1, 2, -1])
    assert accuracy_per_frame(answers, labels) == 2 / 4
    assert np.isnan(accuracy_per_frame(answers, np.full(5, -1)))


def test_overlap_is_that_of_the_sets_of_frames() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        (a, b), (c, d) = (sorted(rng.choice(30, 2, replace=False)) for _ in range(2))
        one, other = set(range(a, b)), set(range(c, d))
        expected = len(one & other) / len(one | other)
        assert overlap(Segment(0, a, b), Segment(0, c, d)) == pytest.approx(expected)


def test_f1_by_hand() -> None:
    found = [
        Segment(0, 0, 8),  # 0.8 of the first action
        Segment(1, 8, 14),  # 4 of 22 frames: right at 0.1 alone
        Segment(1, 14, 30),  # 0.8, but found before at 0.1
        Segment(2, 30, 40),  # no such action
    ]
    # Two of four are right, and two of three are found.
    assert f1_of_segments([found], [TRUE], 0.5) == pytest.approx(2 * 2 / (4 + 3))
    assert f1_of_segments([found], [TRUE], 0.1) == pytest.approx(2 * 2 / (4 + 3))
    assert f1_of_segments([found[:2]], [TRUE], 0.1) == pytest.approx(2 * 2 / (2 + 3))
    assert f1_of_segments([found[:2]], [TRUE], 0.25) == pytest.approx(2 * 1 / (2 + 3))
    assert f1_of_segments([TRUE, []], [TRUE, TRUE], 0.5) == pytest.approx(6 / 9)
    assert np.isnan(f1_of_segments([[]], [[]], 0.5))


def test_f1_of_segments_of_one_frame_is_that_of_frames() -> None:
    rng = np.random.default_rng(1)
    true, found = rng.integers(0, 3, (2, 60))
    segments = [
        [Segment(int(label), frame, frame + 1) for frame, label in enumerate(row)]
        for row in (found, true)
    ]
    expected = f1_score(true, found, average="micro")
    assert f1_of_segments([segments[0]], [segments[1]], 0.5) == pytest.approx(expected)


def test_average_precision_by_hand() -> None:
    found = [
        Segment(0, 0, 10, 0.9),  # right
        Segment(0, 20, 30, 0.8),  # wrong
        Segment(0, 41, 50, 0.7),  # right
        Segment(1, 11, 30, 0.3),  # right
        Segment(2, 0, 10, 0.99),  # a class without actions does not count
    ]
    # Class 0: precisions 1 and 2/3 at its two actions; class 1: 1.
    expected = ((1 + 2 / 3) / 2 + 1) / 2
    assert average_precision([found], [TRUE], 0.5) == pytest.approx(expected)
    # A second answer to one action is wrong, and lowers the precision of what comes after it.
    twice = [Segment(0, 0, 10, 0.9), Segment(0, 1, 10, 0.8), Segment(0, 40, 50, 0.7)]
    assert average_precision([twice], [TRUE], 0.5) == pytest.approx((1 + 2 / 3) / 2 / 2)
    assert average_precision([[]], [TRUE], 0.5) == 0
    # Segments of one recording do not match actions of another.
    assert average_precision([[], found], [TRUE, []], 0.5) == 0


def test_delays_alarms_and_early_answers() -> None:
    answers = np.full(60, -1)
    answers[4:13], answers[16:28], answers[28:40], answers[52:] = 0, 1, 2, 0
    assert delays(answers, TRUE, patience=0) == [4, 6, None]
    assert delays(answers, TRUE, patience=5) == [4, 6, 12]
    found = [Segment(0, 4, 13), Segment(2, 28, 40), Segment(0, 52, 60), Segment(1, 29, 35)]
    assert false_alarms(found, TRUE) == 2
    curve = early_accuracy(answers, TRUE, (0.25, 0.5, 1.0))
    # After 3, 5 and 10 frames of actions of 10, and 5, 10 and 20 of the one of 20.
    np.testing.assert_allclose(curve, [0, 2 / 3, 1 / 3])
    expected = (0.25 * (2 / 3) / 2) + 0.5 * (2 / 3 + 1 / 3) / 2
    assert area_under(curve, (0.25, 0.5, 1.0)) == pytest.approx(expected)
