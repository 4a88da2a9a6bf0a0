from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from pyg_stgcn.plots.costs import plot_bench


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
    assert [bar.get_width() for bar in axes.patches] == list(times.values())
    assert [text.get_text() for text in axes.texts] == ["8 ms, 1.0x", "2 ms, 4.0x"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["dense", "compiled"]
    assert axes.get_title() == "1 clip of 2 persons, 1 thread"
