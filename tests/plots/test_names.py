from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from pyg_stgcn.plots.curves import plot_curves
from pyg_stgcn.plots.results import plot_confusion, plot_fusion
from pyg_stgcn.text import label

NAMES = ["win $$ prize", "$x^2$", r"\$5", "$\\frac{$", "_hidden", "[/x]", "", "\x1b[2J\n\u202e"]


def shown(figure: Figure) -> list[str]:
    """Texts of a figure as they stand in it; fails where one is taken for a formula."""
    texts = []
    for text in figure.findobj(Text):
        plain, math = text._preprocess_math(text.get_text())
        assert not math or "mathdefault" in plain, plain
        texts.append(plain)
    return texts


@pytest.mark.parametrize("name", NAMES[:6])
def test_labels_are_no_formulas(name: str) -> None:
    text = Text(0, 0, label(name))
    assert text._preprocess_math(text.get_text()) == (name.replace("_h", " _h"), False)


def test_labels_are_readable_and_short() -> None:
    assert label("\x1b[2J\n\u202e") == r"\x1b[2J\n\u202e"
    assert label("") == "''" and label(" ") == "' '"
    long = label("begin" + "x" * 10_000 + "end")
    assert len(long) == 40 and long.startswith("begin") and long.endswith("end")


def test_a_confusion_matrix_names_any_class(tmp_path: Path, drawn: list[Figure]) -> None:
    names = [*NAMES, "x" * 10_000]
    counts = np.eye(len(names), dtype=np.int64)
    plot_confusion(tmp_path / "confusion.png", counts, names)
    texts = shown(drawn[0])
    for name in ("win $$ prize", "$x^2$", r"\$5", "$\\frac{$", " _hidden", "[/x]", "''"):
        assert name in texts
    assert r"\x1b[2J\n\u202e" in texts
    # The cells keep most of the figure, whatever the names.
    drawn[0].draw_without_rendering()
    axes, _ = drawn[0].axes
    assert axes.get_window_extent().width > 0.4 * drawn[0].bbox.height
    assert drawn[0].get_figwidth() < 12


def test_runs_of_any_name_are_in_the_legend(tmp_path: Path, drawn: list[Figure]) -> None:
    row = {"epoch": 1, "train_loss": 2.0, "val_loss": 3.0, "train_top1": 0.1, "val_top1": 0.2}
    plot_curves(tmp_path / "curves.png", {"_a$$": [row], "b": [row]})
    texts = shown(drawn[0])
    assert " _a$$, train" in texts and "b, val" in texts


def test_runs_of_a_fusion_may_have_any_name(tmp_path: Path, drawn: list[Figure]) -> None:
    run = {"model": "stgcn $", "stream": "joint+bone+joint-motion+bone-motion $", "weight": 2.0}
    plot_fusion(tmp_path / "fusion.png", [{**run, "top1": 0.5}] * 2, 0.6)
    name = "stgcn $, joint+bone+joint-motion+bone-motion $  (2)"
    assert name in shown(drawn[0])
