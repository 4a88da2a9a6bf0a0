from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from pyg_stgcn.cli import main
from pyg_stgcn.runs.options import TrainOptions

MakeRun = Callable[[Path, TrainOptions], Path]

CONFIG = TrainOptions.of(dataset="synthetic", benchmark="xsub", channels=4, method="random")


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def runs(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    config = CONFIG.replace(sparsity=0.8, edge_sparsity=0.9)
    sparser = config.replace(sparsity=0.95)
    named = {"seed0": config, "seed1": config, "sparser": sparser}
    return [make_run(folder / name, config) for name, config in named.items()]


def test_one_run_and_its_figure(runs: list[Path], tmp_path: Path) -> None:
    figure = tmp_path / "masks.pdf"
    result = call(runs[0], "--json", "--figure", figure)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["run"] == str(runs[0])
    assert content["figure"] == str(figure) and figure.read_bytes().startswith(b"%PDF")
    plain = call(runs[0])
    assert "dead rows" in plain.stdout and "figure" not in plain.stdout


def test_several_runs_are_compared(runs: list[Path]) -> None:
    result = call(*runs, "--json")
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
    table = call(*runs[:2])
    assert table.exit_code == 0 and "overlap / chance" in table.stdout


def test_other_architectures_are_refused_by_name(
    runs: list[Path], make_run: MakeRun, tmp_path: Path
) -> None:
    other = make_run(tmp_path / "other", CONFIG.replace(channels=6, graph="spatial"))
    result = call(runs[0], other)
    assert result.exit_code == 1
    message = " ".join(result.stderr.split())
    assert f"{other}: differs from {runs[0]} in graph (spatial, not random)" in message
    assert "channels (6, not 4)" in message and "model" not in message


def test_experts_of_one_backbone_are_compared(make_run: MakeRun, tmp_path: Path) -> None:
    models = ["stgcn", "stgcn", "stgcnpp"]
    config = CONFIG.replace(levels=[0.6, 0.9, 0.9], experts=models)
    run = make_run(tmp_path / "one", config)
    result = call(run, "--json")
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
    assert "together" in call(run).stdout
