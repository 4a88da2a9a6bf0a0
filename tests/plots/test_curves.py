from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from pyg_stgcn.plots.curves import plot_curves


def test_losses_are_written_as_plain_numbers(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [{"epoch": 1, "train_loss": 2.5}, {"epoch": 2, "train_loss": 0.25}]
    plot_curves(tmp_path / "figure.png", {"dense": rows})
    drawn[0].draw_without_rendering()
    labels = [tick.get_text() for tick in drawn[0].axes[0].get_yticklabels(which="both")]
    assert {"0.3", "1", "2"} <= set(labels)
