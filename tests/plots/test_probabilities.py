"""Figures of predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pyg_stgcn.plots.probabilities import Timeline, plot_counts, plot_over_time


def test_lines_have_gaps_where_nobody_is_there(tmp_path: Path, drawn: list[Figure]) -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0, 0, 0], [0.1, 0.1, 0.8]], np.float32)
    timelines = [Timeline("walk", np.array([1.0, 2.0, 3.0]), probabilities)]
    plot_over_time(tmp_path / "time.png", timelines, ["wave", "clap", "drink"], "s")
    (axes,) = drawn[0].axes
    shown = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert axes.get_xlabel() == "time (s)"
    for number, name in enumerate(("wave", "clap", "drink")):
        expected = 100 * probabilities[:, number]
        expected[1] = np.nan
        np.testing.assert_allclose(shown[name], expected, rtol=1e-6)


def test_the_most_frequent_answers_come_first(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_counts(tmp_path / "counts.png", ["wave", "nobody", "wave"])
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["wave", "nobody"]
    assert [bar.get_width() for bar in axes.patches] == [2, 1]


def test_the_title_tells_of_answers_that_are_left_out(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_counts(tmp_path / "counts.png", [f"class {i % 70}" for i in range(140)])
    assert drawn[0].get_suptitle() == "answers to 140 clips, the 60 most frequent of 70"
