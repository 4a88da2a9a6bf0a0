from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.inspection import Group, compare, inspect_run, networks_of, plot_groups
from pyg_stgcn.runs.options import TrainOptions

MakeRun = Callable[[Path, TrainOptions], Path]

CONFIG = TrainOptions.of(dataset="synthetic", benchmark="xsub", channels=4, method="random")
SPARSE = CONFIG.replace(sparsity=0.8, edge_sparsity=0.9)


@pytest.fixture(scope="module")
def run(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "seed0", SPARSE)


def group_of(*runs: Path) -> Group:
    """Runs of one architecture."""
    (group,) = compare(networks_of([inspect_run(run) for run in runs]))
    return group


def test_layers_are_counted_in_the_file_of_weights(run: Path) -> None:
    found = inspect_run(run)
    state = load_file(run / "model.safetensors")
    for layer in found.layers:
        nonzero = state[layer.name].numpy() != 0
        assert (layer.numel, layer.kept) == (nonzero.size, nonzero.sum())
        if not layer.is_edge:
            by_output = nonzero.reshape(len(nonzero), -1)
            assert layer.dead_rows == (~by_output.any(axis=1)).sum()
    weights = [layer for layer in found.layers if not layer.is_edge]
    assert found.totals["maskable_kept"] == sum(layer.kept for layer in weights)
    assert found.totals["sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert found.empty == [] and found.assembly is None


def test_graphs_are_those_of_the_masked_adjacency(run: Path) -> None:
    (network,) = inspect_run(run).networks
    state = load_file(run / "model.safetensors")
    assert list(network.graphs) == [f"stage {number}" for number in range(1, 11)]
    for number, graph in enumerate(network.graphs.values()):
        name = next(k for k in state if k.startswith(f"stages.{number}.") and "edge_weight" in k)
        assert (graph != 0).sum() == (state[name] != 0).sum()
        assert graph.abs().sum().item() == pytest.approx(state[name].abs().sum().item())


def test_runs_of_the_same_name_go_by_their_paths(
    run: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "seed0", CONFIG.replace(sparsity=0.8))
    (pair,) = group_of(run, other).comparisons
    assert (pair.first, pair.second) == (str(run), str(other))
    # One of the two prunes edges, so the other keeps all of them.
    assert pair.edges is not None and pair.edges.second == pair.edges.numel


def test_edges_that_no_run_prunes_are_not_compared(make_run: MakeRun, tmp_path: Path) -> None:
    group = group_of(*(make_run(tmp_path / name, CONFIG) for name in ("a", "b")))
    (pair,) = group.comparisons
    assert pair.edges is None and pair.weights.jaccard == 1
    assert not any(layer.is_edge for layer in pair.layers)


def test_networks_without_kept_weights_have_no_overlap(
    run: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    empty = []
    for name in ("empty", "void"):
        empty.append(make_run(tmp_path / name, CONFIG))
        file = empty[-1] / "model.safetensors"
        save_file({k: v * k.startswith("head.") for k, v in load_file(file).items()}, file)
    group = group_of(run, *empty)
    jaccard = [pair.weights.jaccard for pair in group.comparisons]
    assert jaccard == [0, 0, None]
    assert len(inspect_run(empty[0]).empty) == len(inspect_run(empty[0]).layers)
    plot_groups(tmp_path / "masks.png", [group])
    assert Image.open(tmp_path / "masks.png").size[0] > 800


def test_the_overlap_is_that_of_the_files(run: Path, make_run: MakeRun, tmp_path: Path) -> None:
    other = make_run(tmp_path / "seed1", SPARSE)
    (pair,) = group_of(run, other).comparisons
    states = [load_file(folder / "model.safetensors") for folder in (run, other)]
    names = [layer.name for layer in pair.layers if not layer.is_edge]
    one, two = (np.concatenate([(s[n] != 0).numpy().ravel() for n in names]) for s in states)
    assert pair.weights.jaccard == (one & two).sum() / (one | two).sum()
    assert pair.to_dict()["jaccard"] == pair.weights.jaccard


def test_experts_are_grouped_by_backbone(make_run: MakeRun, tmp_path: Path) -> None:
    models = ["stgcn", "stgcn", "stgcnpp"]
    config = CONFIG.replace(levels=[0.6, 0.9, 0.9], experts=models)
    runs = [make_run(tmp_path / name, config) for name in ("one", "other")]
    groups = compare(networks_of([inspect_run(run) for run in runs]))
    labels = [[network.label for network in group.networks] for group in groups]
    stgcn = [f"{run}, expert {e}" for run in ("one", "other") for e in (1, 2)]
    assert labels == [stgcn, ["one, expert 3", "other, expert 3"]]
    assert [len(group.comparisons) for group in groups] == [6, 1]


def test_other_architectures_are_refused(run: Path, make_run: MakeRun, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", CONFIG.replace(channels=6))
    with pytest.raises(InputError, match=r"channels \(6, not 4\)"):
        group_of(run, other)
