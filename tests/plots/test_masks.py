from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from PIL import Image

from pyg_stgcn.plots.masks import draw_masks, plot_masks, stage_of
from pyg_stgcn.skeletons import get_skeleton

SKELETON = get_skeleton("coco17")
STAGES = ("stage 1", "stage 2")
LAYERS = ("stages.0.gcn.weight", "stages.0.tcn.weight", "stages.1.gcn.weight")


def network(label: str, kept: tuple[float, ...] = (0.5, 0.25, 0.1)) -> dict[str, Any]:
    rng = np.random.default_rng(len(label))
    shape = (2, SKELETON.num_joints, SKELETON.num_joints)
    graphs = {stage: rng.normal(size=shape) * (rng.random(shape) < 0.1) for stage in STAGES}
    kept_by_name = dict(zip(LAYERS, kept, strict=True))
    return {"label": label, "skeleton": SKELETON, "kept": kept_by_name, "graphs": graphs}


def comparison(first: str, second: str, jaccard: float | None = 0.2) -> dict[str, Any]:
    layers = [
        {"name": name, "jaccard": None if jaccard is None else jaccard + number / 10, "chance": 0.1}
        for number, name in enumerate(LAYERS)
    ]
    ratio = None if jaccard is None else jaccard / 0.1
    return {"first": first, "second": second, "jaccard": jaccard, "ratio": ratio, "layers": layers}


def test_the_panels(tmp_path: Path) -> None:
    names = ["seed0", "seed1", "sparser"]
    networks = [network(name, (0.5 - n / 10, 0.25, 0.0)) for n, name in enumerate(names)]
    pairs = [comparison(*pair) for pair in combinations(names, 2)]
    group = {"networks": networks, "comparisons": pairs}
    kept, overlaps, matrix, *rest = draw_masks([group]).axes
    heights = [bar.get_height() for bar in kept.patches]
    expected = [100 * value for each in networks for value in each["kept"].values()]
    assert heights == pytest.approx(expected)
    # A logarithmic axis cannot show zero: the last layer of each network has a cross.
    assert [len(line.get_xdata()) for line in kept.lines] == [1, 1, 1]
    assert {text.get_text() for text in kept.texts} == {"1", "2"}
    assert len(overlaps.lines) == 2 * len(pairs)
    assert list(overlaps.lines[0].get_ydata()) == pytest.approx([0.2, 0.3, 0.4])
    assert [label.get_text() for label in matrix.get_xticklabels()] == names
    assert {text.get_text() for text in matrix.texts} == {"0.20\n2.0x"}
    graphs = [axes for axes in rest if axes.get_title() in names]
    assert len(graphs) == 3
    for axes in graphs:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["k = 1", "k = 2"]
        assert [label.get_text() for label in axes.get_yticklabels()] == list(STAGES)
    plot_masks(tmp_path / "masks.png", [group])
    assert Image.open(tmp_path / "masks.png").size[0] > 800


def test_many_pairs_are_drawn_as_their_mean_and_range() -> None:
    names = [f"run{number}" for number in range(5)]
    values = [*np.linspace(0.1, 0.5, 9).tolist(), None]
    pairs = [comparison(*pair, value) for pair, value in zip(combinations(names, 2), values)]  # noqa: B905
    group = {"networks": [network(name) for name in names], "comparisons": pairs}
    _, overlaps, matrix, *_ = draw_masks([group]).axes
    expected = [np.mean(np.array(values[:-1]) + number / 10) for number in range(3)]
    assert list(overlaps.lines[0].get_ydata()) == pytest.approx(expected)
    # Every pair with an index, twice.
    assert len(matrix.texts) == 2 * 9


def test_one_network_has_no_overlaps() -> None:
    figure = draw_masks([{"networks": [network("run")], "comparisons": []}])
    assert [axes.get_title() for axes in figure.axes] == [
        "kept weights of each layer, by stage",
        "run",
    ]


def test_a_network_without_edge_masks_keeps_its_edges() -> None:
    pruned, whole = network("pruned"), network("whole")
    pruned["kept"]["stages.1.edge_weight"] = 0.3
    (kept, *_) = draw_masks([{"networks": [whole, pruned], "comparisons": []}]).axes
    heights = np.array([bar.get_height() for bar in kept.patches]).reshape(2, 4)
    assert heights[:, -1] == pytest.approx([100, 30])


def test_lines_are_the_edges_and_the_strongest_is_widest() -> None:
    each = network("run")
    *_, axes = draw_masks([{"networks": [each], "comparisons": []}]).axes
    # Of each graph, first the bones as a background, then the edges.
    collections = [entry for entry in axes.collections if isinstance(entry, LineCollection)]
    edges = collections[1::2]
    drawn = [(stage, k) for stage, graph in each["graphs"].items() for k in range(len(graph))]
    assert len(edges) == len(drawn)
    for lines, (stage, k) in zip(edges, drawn, strict=True):
        between = np.abs(each["graphs"][stage][k])
        np.fill_diagonal(between, 0)
        weights = np.sort(between[between > 0]) / np.abs(each["graphs"][stage]).max()
        widths = np.array(lines.get_linewidths())
        assert len(lines.get_segments()) == len(weights) == len(widths)
        # From thin to wide in proportion, the strongest drawn last, on top.
        thin, wide = 0.2, 2.5
        assert widths == pytest.approx(thin + (wide - thin) * weights)


def test_a_layer_belongs_to_a_stage() -> None:
    assert stage_of("stages.3.gcn.conv.weight") == "stage 4"
    assert stage_of("experts.1.stages.0.tcn.weight") == "stage 1"
    assert stage_of("head.linear.weight") == ""
