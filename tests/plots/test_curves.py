from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pyg_stgcn.plots import saving as _figures
from pyg_stgcn.plots.curves import (
    plot_bench,
    plot_confusion,
    plot_curves,
    plot_fusion,
    plot_robustness,
    plot_subsets,
    plot_sweep,
)
from pyg_stgcn.text import label

NAMES = ["win $$ prize", "$x^2$", r"\$5", "$\\frac{$", "_hidden", "[/x]", "", "\x1b[2J\n\u202e"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, drawn."""
    figures: list[Figure] = []
    save = _figures.save

    def keep(figure: Figure, path: Path) -> None:
        save(figure, path)
        figures.append(figure)

    monkeypatch.setattr("pyg_stgcn.plots.curves.save", keep)
    return figures


def shown(figure: Figure) -> list[str]:
    """Texts of a figure as they stand in it; fails where one is taken for a formula."""
    texts = []
    for text in figure.findobj(Text):
        plain, math = text._preprocess_math(text.get_text())
        assert not math or "mathdefault" in plain, plain
        texts.append(plain)
    return texts


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_any_number_of_controls_is_drawn(tmp_path: Path, kind: str) -> None:
    rows = [{"experts": [1], "head": "shared", "kept": 0.5, "top1": 0.9}]
    control = {"kept": 0.7, "top1": 0.8, "top1_deviation": 0.1}
    controls = {f"{kind}-{number}": control for number in range(7)}
    plot_subsets(tmp_path / "figure.png", rows, controls)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES[:6])
def test_labels_are_no_formulas(name: str) -> None:
    text = plt.Text(0, 0, label(name))
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
    (axes,) = drawn[0].axes
    assert axes.get_position().width > 0.4
    assert Image.open(tmp_path / "confusion.png").size[0] < 2_000


def test_runs_of_any_name_are_in_the_legend(tmp_path: Path, drawn: list[Figure]) -> None:
    row = {"epoch": 1, "train_loss": 2.0, "val_loss": 3.0, "train_top1": 0.1, "val_top1": 0.2}
    plot_curves(tmp_path / "curves.png", {"_a$$": [row], "b": [row]})
    texts = shown(drawn[0])
    assert " _a$$, train" in texts and "b, val" in texts
    run = {"model": "stgcn $", "stream": "joint+bone+joint-motion+bone-motion $", "weight": 2.0}
    plot_fusion(tmp_path / "fusion.png", [{**run, "top1": 0.5}] * 2, 0.6)
    name = "stgcn $, joint+bone+joint-motion+bone-motion $  (2)"
    assert name in shown(drawn[1])


def test_a_sweep_is_drawn_over_the_kept_weights(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"method": "dense", "sparsity": 0.0, "top1": 0.9, "top1_deviation": 0.01}]
    rows += [
        {"method": "score", "sparsity": sparsity, "top1": top1, "top1_deviation": None}
        for sparsity, top1 in ((0.8, 0.85), (0.95, 0.7))
    ]
    plot_sweep(tmp_path / "sweep.png", rows)
    (axes,) = drawn[0].axes
    dense, score = axes.lines
    assert dense.get_ydata()[0] == pytest.approx(90)
    assert list(score.get_xdata()) == pytest.approx([20, 5])
    assert list(score.get_ydata()) == pytest.approx([85, 70])
    assert axes.get_xlim()[0] > axes.get_xlim()[1]


def test_every_mode_starts_at_the_intact_clips(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"dropped": 0.0, "mode": None, "top1": 0.9}]
    rows += [
        {"dropped": dropped, "mode": mode, "top1": top1}
        for mode, dropped, top1 in (
            ("random", 0.25, 0.8),
            ("random", 0.5, 0.7),
            ("block", 0.5, 0.6),
        )
    ]
    plot_robustness(tmp_path / "robustness.png", rows)
    _, random, block = drawn[0].axes[0].lines
    assert (list(random.get_xdata()), list(random.get_ydata())) == ([0, 25, 50], [90, 80, 70])
    assert (list(block.get_xdata()), list(block.get_ydata())) == ([0, 50], [90, 60])


def test_subsets_lie_at_their_kept_weights(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [
        {"experts": experts, "head": head, "kept": kept, "top1": top1}
        for experts, head, kept, top1 in (
            ([1], "shared", 0.4, 0.8),
            ([2], "shared", 0.1, 0.7),
            ([1, 2], "shared", 0.5, 0.9),
            ([1], "own", 0.41, 0.75),
        )
    ]
    plot_subsets(tmp_path / "subsets.png", rows, {})
    single, both, own = drawn[0].axes[0].lines
    assert list(single.get_xdata()) == pytest.approx([40, 10])
    assert list(both.get_xdata()) == [50] and list(both.get_ydata()) == [90]
    assert list(own.get_xdata()) == pytest.approx([41])
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["1", "2", "1+2"]


def test_bars_of_backends_are_their_times(tmp_path: Path, drawn: list[Figure]) -> None:
    setting = {"threads": 1, "clips": 1, "persons": 2, "frames": 100}
    times = {"dense": 8.0, "compiled": 2.0}
    rows = [
        {**setting, "backend": name, "milliseconds": time, "fastest": time / 2, "slowest": 2 * time}
        | {"ratio": 8 / time}
        for name, time in times.items()
    ]
    plot_bench(tmp_path / "bench.png", rows)
    (axes,) = drawn[0].axes
    assert [bar.get_height() for bar in axes.patches] == list(times.values())
    assert [text.get_text() for text in axes.texts] == ["1.0x", "4.0x"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1 x 2 persons\n1 thread"]


def test_losses_are_written_as_plain_numbers(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"epoch": 1, "train_loss": 2.5}, {"epoch": 2, "train_loss": 0.25}]
    plot_curves(tmp_path / "figure.png", {"dense": rows})
    drawn[0].draw_without_rendering()
    labels = [tick.get_text() for tick in drawn[0].axes[0].get_yticklabels(which="both")]
    assert {"0.3", "1", "2"} <= set(labels)
