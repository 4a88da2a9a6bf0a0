from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyg_stgcn.plots.edges import NUM_EDGES
from pyg_stgcn.plots.masks import plot_masks, stage_of
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.skeletons.rest_pose import rest_pose

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


@pytest.fixture
def draw(tmp_path: Path, drawn: list[Figure]) -> Callable[..., list[Axes]]:
    """Draws groups of networks, and returns the axes."""

    def draw(*groups: dict[str, Any]) -> list[Axes]:
        plot_masks(tmp_path / "masks.png", groups)
        return drawn[-1].axes

    return draw


def matrices(axes: Sequence[Axes]) -> list[Axes]:
    """The axes of the matrices of edges."""
    side = (SKELETON.num_joints,) * 2
    return [one for one in axes if one.images and one.images[0].get_array().shape == side]


def test_the_panels(draw: Callable[..., list[Axes]]) -> None:
    names = ["seed0", "seed1", "sparser"]
    networks = [network(name, (0.5 - n / 10, 0.25, 0.0)) for n, name in enumerate(names)]
    pairs = [comparison(*pair) for pair in combinations(names, 2)]
    kept, overlaps, matrix, *rest = draw({"networks": networks, "comparisons": pairs})
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
    # One column a network, with the mean over the partitions.
    assert [axes.get_title() for axes in matrices(rest)] == [*names, "", "", ""]


def test_many_pairs_are_drawn_as_their_mean_and_range(draw: Callable[..., list[Axes]]) -> None:
    names = [f"run{number}" for number in range(5)]
    values = [*np.linspace(0.1, 0.5, 9).tolist(), None]
    pairs = [comparison(*pair, value) for pair, value in zip(combinations(names, 2), values)]  # noqa: B905
    group = {"networks": [network(name) for name in names], "comparisons": pairs}
    _, overlaps, matrix, *_ = draw(group)
    expected = [np.mean(np.array(values[:-1]) + number / 10) for number in range(3)]
    assert list(overlaps.lines[0].get_ydata()) == pytest.approx(expected)
    # Every pair with an index, twice.
    assert len(matrix.texts) == 2 * 9


def test_one_network_has_no_overlaps(draw: Callable[..., list[Axes]]) -> None:
    kept, *rest = draw({"networks": [network("run")], "comparisons": []})
    assert kept.get_title() == "kept weights of each layer, by stage"
    assert [axes.get_title() for axes in matrices(rest)] == ["partition 1", "partition 2", "", ""]


def test_a_network_without_edge_masks_keeps_its_edges(draw: Callable[..., list[Axes]]) -> None:
    pruned, whole = network("pruned"), network("whole")
    pruned["kept"]["stages.1.edge_weight"] = 0.3
    (kept, *_) = draw({"networks": [whole, pruned], "comparisons": []})
    heights = np.array([bar.get_height() for bar in kept.patches]).reshape(2, 4)
    assert heights[:, -1] == pytest.approx([100, 30])


def test_edges_are_a_matrix_beside_the_strongest_on_the_skeleton(
    draw: Callable[..., list[Axes]],
) -> None:
    each = network("run")
    axes = draw({"networks": [each], "comparisons": []})
    shown = matrices(axes)
    expected = [(stage, graph[k]) for stage, graph in each["graphs"].items() for k in range(2)]
    assert len(shown) == len(expected)
    pose = rest_pose(SKELETON)
    for one, (stage, graph) in zip(shown, expected, strict=True):
        strength = np.abs(graph) / np.abs(each["graphs"][stage]).max()
        assert np.asarray(one.images[0].get_array()) == pytest.approx(strength)
        # Few lines: the strongest pairs of joints, in either direction.
        both = np.triu(np.maximum(strength, strength.T), k=1)
        strongest = np.argsort(-both, axis=None)[: min(NUM_EDGES, np.count_nonzero(both))]
        ends = {tuple(np.unravel_index(place, both.shape)) for place in strongest}
        *lines, _ = axes[axes.index(one) + 1].lines
        joints = [np.abs(pose - np.array(end)).sum(axis=1).argmin() for line in lines
                  for end in np.transpose(line.get_data())[[0, -1]]]  # fmt: skip
        assert {tuple(pair) for pair in np.reshape(joints, (-1, 2))} == ends
        widths = [line.get_linewidth() for line in lines]
        assert widths == sorted(widths, reverse=True)
    names = [text.get_text() for text in shown[0].get_yticklabels()]
    assert names == list(SKELETON.joints)


def test_a_complete_graph_is_no_hairball(draw: Callable[..., list[Axes]]) -> None:
    each = network("run")
    rng = np.random.default_rng(0)
    each["graphs"] = {stage: rng.random((2, 17, 17)) + 0.1 for stage in STAGES}
    axes = draw({"networks": [each], "comparisons": []})
    for one in matrices(axes):
        assert len(axes[axes.index(one) + 1].lines) == NUM_EDGES + 1


def test_a_layer_belongs_to_a_stage() -> None:
    assert stage_of("stages.3.gcn.conv.weight") == "stage 4"
    assert stage_of("experts.1.stages.0.tcn.weight") == "stage 1"
    assert stage_of("head.linear.weight") == ""
