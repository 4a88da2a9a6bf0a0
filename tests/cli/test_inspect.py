from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from matplotlib.collections import LineCollection
from PIL import Image
from safetensors.torch import load_file, save_file

from pyg_stgcn.cli import main
from pyg_stgcn.evaluation.inspection import Group, compare, inspect_run, networks_of, stage_of
from pyg_stgcn.models import Assembly
from pyg_stgcn.plots.masks import draw_masks
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainConfig
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.sparsity import sparsify

CONFIG = TrainConfig(dataset="synthetic", benchmark="xsub", channels=4, method="random")


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *(str(word) for word in words)])


def group_of(*runs: Path) -> Group:
    """Runs of one architecture."""
    (group,) = compare(networks_of([inspect_run(run) for run in runs]))
    return group


def make_run(folder: Path, config: TrainConfig) -> Path:
    """The directory of a run that is finished, after no training at all."""
    skeleton = get_skeleton("coco17")
    config = config.with_recipe(2, "xsub")
    facts = {"data": {"skeleton": skeleton.to_dict(), "classes": ["a", "b"], "in_channels": 3}}
    folder.mkdir(parents=True)
    run = Run(folder, config, skeleton, ["a", "b"], 3, facts)
    run.save_config()
    model = run.build_model()
    experts = list(model.experts) if isinstance(model, Assembly) else [model]
    for expert, sparsity in zip(experts, config.levels or [config.sparsity], strict=True):
        if sparsity:
            targets = {"sparsity": sparsity, "edge_sparsity": config.edge_sparsity}
            sparsify(expert, **targets, method="random", exclude=config.exclude).finalize()
    run.save_weights(model, sparse=False)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    config = replace(CONFIG, sparsity=0.8, edge_sparsity=0.9)
    sparser = replace(config, sparsity=0.95)
    named = {"seed0": config, "seed1": config, "sparser": sparser}
    return [make_run(folder / name, config) for name, config in named.items()]


def test_one_run_and_its_picture(runs: list[Path]) -> None:
    result = call(runs[0], "--json", "--figure")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["run"] == str(runs[0])
    assert content["figure"] == str(runs[0] / "masks.png")
    assert Image.open(runs[0] / "masks.png").size[0] > 800
    plain = call(runs[0])
    assert "dead rows" in plain.stdout and "picture" not in plain.stdout


def test_several_runs_are_compared(runs: list[Path], tmp_path: Path) -> None:
    result = call(*runs, "--json", "--figure", tmp_path / "overlap.png")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert [Path(run["run"]) for run in content["runs"]] == runs
    pairs = {(pair["first"], pair["second"]): pair for pair in content["overlaps"]}
    assert pairs.keys() == {("seed0", "seed1"), ("seed0", "sparser"), ("seed1", "sparser")}
    states = [load_file(run / "model.safetensors") for run in runs[:2]]
    pair = pairs["seed0", "seed1"]
    shared = either = 0
    for layer in pair["layers"]:
        one, other = (state[layer["name"]].numpy() != 0 for state in states)
        assert layer["jaccard"] == (one & other).sum() / (one | other).sum()
        assert layer["name"].startswith("stages.")
        if not layer["name"].endswith("edge_weight"):
            shared, either = shared + (one & other).sum(), either + (one | other).sum()
    assert pair["jaccard"] == shared / either
    # The masks are random, so chance is all that they have in common.
    for pair in pairs.values():
        assert pair["ratio"] == pytest.approx(1, abs=0.15)
        assert pair["edges"]["ratio"] == pytest.approx(1, abs=0.6)
    assert Image.open(tmp_path / "overlap.png").size[0] > 800
    table = call(*runs[:2])
    assert table.exit_code == 0 and "overlap / chance" in table.stdout


def test_the_picture_has_its_panels(runs: list[Path]) -> None:
    group = group_of(*runs)
    found, figure = group.networks, draw_masks([group])
    shares, overlaps, matrix, *rest = figure.axes
    bars = np.array([bar.get_height() for bar in shares.patches])
    layers = [layer for each in found for layer in each.layers]
    assert bars == pytest.approx([100 * layer.kept / layer.numel for layer in layers])
    stages = {text.get_text() for text in shares.texts}
    assert stages == {str(number) for number in range(1, 11)}
    assert len(overlaps.lines) == 2 * 3
    assert [label.get_text() for label in matrix.get_xticklabels()] == ["seed0", "seed1", "sparser"]
    graphs = [axes for axes in rest if axes.get_title() in ("seed0", "seed1", "sparser")]
    assert len(graphs) == 3
    for axes, each in zip(graphs, found, strict=True):
        columns = [label.get_text() for label in axes.get_xticklabels()]
        assert columns == ["k = 1", "k = 2", "k = 3"]
        assert [label.get_text() for label in axes.get_yticklabels()] == list(each.graphs)
        assert list(each.graphs) == [f"stage {number}" for number in range(1, 11)]


def test_many_pairs_are_drawn_as_their_mean_and_range(runs: list[Path], tmp_path: Path) -> None:
    # One that keeps nothing at all: it has no overlap with another, and none with its equal.
    empty = []
    for name in ("empty", "void"):
        empty.append(make_run(tmp_path / name, CONFIG))
        weights = load_file(empty[-1] / "model.safetensors")
        save_file(
            {k: v * k.startswith("head.") for k, v in weights.items()},
            empty[-1] / "model.safetensors",
        )
    group = group_of(*runs, *empty)
    assert len(group.comparisons) == 10
    assert group.comparisons[-1].weights.jaccard is None
    _, overlaps, matrix, *_ = draw_masks([group]).axes
    middle = np.array(overlaps.lines[0].get_ydata())
    expected = [
        np.mean([pair.layers[i].jaccard for pair in group.comparisons[:-1]])
        for i in range(len(group.comparisons[0].layers))
    ]
    assert middle == pytest.approx(np.array(expected))
    # Everything but the pair of empty ones, twice.
    assert len(matrix.texts) == 2 * 9


def test_lines_are_the_kept_edges_and_the_strongest_is_widest(runs: list[Path]) -> None:
    group = group_of(runs[0])
    (each,) = group.networks
    *_, axes = (axes for axes in draw_masks([group]).axes if axes.get_title() == "seed0")
    # Of each graph, first the bones as a background, then the edges.
    collections = [entry for entry in axes.collections if isinstance(entry, LineCollection)]
    edges = collections[1::2]
    drawn = [(stage, k) for stage, graph in each.graphs.items() for k in range(len(graph))]
    assert len(edges) == len(drawn)
    for lines, (stage, k) in zip(edges, drawn, strict=True):
        weight, strongest = each.graphs[stage][k].abs(), each.graphs[stage].abs().max()
        between = weight.clone().fill_diagonal_(0)
        kept = between[between > 0].sort().values / strongest
        widths = torch.tensor(lines.get_linewidths())
        assert len(lines.get_segments()) == len(kept) == len(widths)
        # From thin to wide in proportion, the strongest drawn last, on top.
        thin, wide = 0.2, 2.5
        torch.testing.assert_close(widths, thin + (wide - thin) * kept.to(widths))


def test_runs_of_the_same_name_go_by_their_paths(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "seed0", replace(CONFIG, sparsity=0.8))
    (pair,) = group_of(runs[0], other).comparisons
    assert (pair.first, pair.second) == (str(runs[0]), str(other))
    # One of the two prunes edges, so the other keeps all of them.
    assert pair.edges is not None and pair.edges.second == pair.edges.numel


def test_edges_that_no_run_prunes_are_not_compared(tmp_path: Path) -> None:
    dense = [make_run(tmp_path / name, CONFIG) for name in ("a", "b")]
    group = group_of(*dense)
    (pair,) = group.comparisons
    assert pair.edges is None and pair.weights.jaccard == 1
    assert not any(layer.is_edge for layer in pair.layers)
    assert draw_masks([group]).axes


def test_other_architectures_are_refused_by_name(runs: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", replace(CONFIG, channels=6, graph="spatial"))
    result = call(runs[0], other)
    assert result.exit_code == 1
    message = " ".join(result.stderr.split())
    assert f"{other}: differs from {runs[0]} in graph (spatial, not random)" in message
    assert "channels (6, not 4)" in message and "model" not in message


def test_experts_of_one_backbone_are_compared(tmp_path: Path) -> None:
    models = ["stgcn", "stgcn", "stgcnpp"]
    config = replace(CONFIG, levels=[0.6, 0.9, 0.9], experts=models)
    runs = [make_run(tmp_path / name, config) for name in ("one", "other")]
    result = call(runs[0], "--json", "--figure")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    (pair,) = content["overlaps"]
    assert (pair["first"], pair["second"]) == ("expert 1", "expert 2")
    first, second = (
        sum(
            layer["kept"]
            for layer in content["layers"]
            if layer["name"].startswith(f"experts.{e}.") and not layer["is_edge"]
        )
        for e in (0, 1)
    )
    assert (pair["kept_first"], pair["kept_second"]) == (first, second)
    assert Image.open(runs[0] / "masks.png").size[0] > 800
    assert "together" in call(runs[0]).stdout
    groups = compare(networks_of([inspect_run(run) for run in runs]))
    labels = [[network.label for network in group.networks] for group in groups]
    stgcn = [f"{run}, expert {e}" for run in ("one", "other") for e in (1, 2)]
    assert labels == [stgcn, ["one, expert 3", "other, expert 3"]]
    assert [len(group.comparisons) for group in groups] == [6, 1]


def test_a_picture_has_an_ending(runs: list[Path], tmp_path: Path) -> None:
    result = call(runs[0], "--figure", tmp_path / "picture.xls")
    assert result.exit_code == 2 and ".png, .pdf, .svg" in result.stderr
    assert not (tmp_path / "picture.xls").exists()
    # The folder of a run is not taken for the picture.
    assert call("--figure", *runs).exit_code == 2


def test_a_layer_belongs_to_a_stage() -> None:
    assert stage_of("stages.3.gcn.conv.weight") == "stage 4"
    assert stage_of("head.linear.weight") == ""
