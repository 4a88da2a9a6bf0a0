"""The figure of the README: accuracy over sparsity, and speed-up of compiled models.

    python benchmarks/results_figure.py

Draws docs/results.png from the tables in docs/measurements/, so that no number is written twice.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from pyg_stgcn.plots.saving import new_figure
from pyg_stgcn.plots.style import REFERENCE, line_style

DOCS = Path(__file__).resolve().parents[1] / "docs"
METHODS = {
    "random": "random",
    "rigl": "RigL",
    "magnitude": "magnitude",
    "score": "score (paper)",
}
MODELS = {name: name for name in ("ST-GCN", "ST-GCN++", "AAGCN", "CTR-GCN", "DG-STGCN")}
SPARSITIES = (80, 90, 95, 99)

Points = dict[int, tuple[float, float, float]]


def table(page: str, header: str) -> list[list[str]]:
    """The cells of the table of a page whose header line begins so."""
    text = (DOCS / "measurements" / page).read_text(encoding="utf-8")
    lines = text[text.index(f"\n| {header}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def accuracies() -> dict[str, Points]:
    """Mean, mean less and plus the deviation, by method and sparsity in percent."""
    found: dict[str, Points] = {}
    method = ""
    for name, sparsity, _, top1, _ in table("results.md", "40 epochs |"):
        method = name or method
        mean, deviation = map(float, top1.split(" ± "))
        percent = int(sparsity.removesuffix(" %"))
        found.setdefault(method, {})[percent] = (mean, mean - deviation, mean + deviation)
    return found


def speedups() -> dict[str, Points]:
    """Median, and the range without the outer deciles, by model and sparsity in percent."""
    return {
        name: {
            sparsity: tuple(map(float, re.findall(r"[\d.]+", cell)))  # type: ignore[misc]
            for sparsity, cell in zip(SPARSITIES, cells, strict=True)
        }
        for name, *cells in table("runtime.md", "two persons |")
    }


def draw_lines(axes: Axes, names: dict[str, str], found: dict[str, Points]) -> None:
    for number, (name, shown) in enumerate(names.items()):
        values = np.array([found[name][sparsity] for sparsity in SPARSITIES]).T
        # On a logarithmic axis of the kept weights, side by side.
        place = -np.log([100 - sparsity for sparsity in SPARSITIES])
        axes.errorbar(
            place + 0.05 * (number - (len(names) - 1) / 2),
            values[0],
            (values[0] - values[1], values[2] - values[0]),
            capsize=2,
            label=shown,
            **line_style(number),
        )
    axes.set_xticks(place, [str(sparsity) for sparsity in SPARSITIES])
    axes.set_xlabel("sparsity (%)")


def main(path: Path = DOCS / "results.png") -> None:
    top1, faster = accuracies(), speedups()
    title = (
        "error bars and band: one standard deviation over three seeds (left), "
        "first to last decile of the rounds (right)"
    )
    with new_figure(path, 11, 4, title) as figure:
        left, right = figure.subplots(1, 2)
        mean, low, high = top1["dense"][0]
        left.axhline(mean, color=REFERENCE, linestyle="--", label="dense")
        left.axhspan(low, high, color="0.93", zorder=0)
        draw_lines(left, METHODS, top1)
        left.set(title="UTD-MHAD, ST-GCN, 40 epochs", ylabel="top-1 accuracy (%)")
        left.legend(loc="lower left")
        draw_lines(right, MODELS, faster)
        right.axhline(1, color=REFERENCE, linestyle="--")
        right.set(title="compiled models on a CPU, width 64", ylim=(0, None))
        right.set_ylabel("times faster than the reference")
        right.legend(loc="upper left")


if __name__ == "__main__":
    main()
