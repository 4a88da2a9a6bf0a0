from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from pyg_stgcn.plots.studies import plot_subsets, plot_sweep


def test_a_sweep_is_drawn_over_the_kept_weights(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"method": "dense", "sparsity": 0.0, "top1": 0.9, "top1_deviation": 0.01}]
    rows += [
        {"method": "score", "sparsity": sparsity, "top1": top1, "top1_deviation": None}
        for sparsity, top1 in ((0.8, 0.85), (0.95, 0.7))
    ]
    plot_sweep(tmp_path / "sweep.png", rows, "sweep")
    (axes,) = drawn[0].axes
    dense, score = axes.lines
    assert dense.get_ydata()[0] == pytest.approx(90)
    assert list(score.get_xdata()) == pytest.approx([20, 5])
    assert list(score.get_ydata()) == pytest.approx([85, 70])
    left, right = axes.get_xlim()
    assert left > 20 and 0 < right < 5


@pytest.mark.parametrize("sparsities", [(0.2, 0.36), (0.6, 0.99), (0.9,)])
def test_points_of_one_sparsity_lie_side_by_side(
    tmp_path: Path, drawn: list[Figure], sparsities: tuple[float, ...]
) -> None:
    rows = [
        {"method": method, "sparsity": sparsity, "top1": 0.8, "top1_deviation": 0.01}
        for method in ("score", "random", "rigl")
        for sparsity in sparsities
    ]
    plot_sweep(tmp_path / "sweep.png", rows, "sweep")
    (axes,) = drawn[0].axes
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    for number, lines in enumerate(axes.containers):
        x, y = lines[0].get_data()
        assert (x < left).all() and (x > right).all() and (y > low).all() and (y < high).all()
        # By at most a fiftieth of the axis.
        distance = np.log(x / [100 * (1 - sparsity) for sparsity in sparsities])
        assert (np.abs(distance) < 0.02 * np.log(left / right)).all()
        assert (distance == 0).all() or number != 1


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
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["1", "2"]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_any_number_of_controls_is_drawn(tmp_path: Path, drawn: list[Figure], kind: str) -> None:
    rows = [{"experts": [1], "head": "shared", "kept": 0.5, "top1": 0.9}]
    control = {"kept": 0.7, "top1": 0.8, "top1_deviation": 0.1}
    controls = {f"{kind}-{number}": control for number in range(7)}
    plot_subsets(tmp_path / "figure.png", rows, controls)
    names = [text.get_text() for legend in drawn[0].legends for text in legend.texts]
    assert set(controls) <= set(names)
