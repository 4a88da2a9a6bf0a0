from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from pyg_stgcn.plots.results import plot_robustness


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
