from __future__ import annotations

import csv
import json
import math
import shlex
import statistics
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main

SEEDS = (3, 4)
LEVELS = (0.5, 0.9)


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def words(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("assemble")
    size = ["--channels", 4, "--clip-frames", 12, "--epochs", 1, "--batch-size", 12]
    size += ["--eval-views", 1, "--accelerator", "cpu", "--learned-weights"]
    size += ["--edge-sparsity", 0.5, "--penalty", 0.001, "--penalty-groups", "input"]
    data = ["--dataset", tiny_pickle, "--root", folder / "data", "--out", folder / "out"]
    varied = ["--levels", *LEVELS, "--controls", "dense", "--seeds", *SEEDS]
    return ["assemble", *varied, *data, *size]


@pytest.fixture(scope="module")
def out(words: list[object]) -> Path:
    """Finished runs, which somebody else has started."""
    printed = [shlex.split(line) for line in call(*words, "--print-commands").stdout.splitlines()]
    out = Path(str(words[words.index("--out") + 1]))
    assert len(printed) == 4 and not list(out.glob("*/summary.json"))
    # In any order, since they are independent.
    for program, *arguments in reversed(printed):
        assert program == "pyg-stgcn"
        result = call(*arguments)
        assert result.exit_code == 0, result.output
    result = call(*words)
    assert result.exit_code == 0, result.output
    return out


def summaries(out: Path, label: str) -> list[dict[str, Any]]:
    return [json.loads((out / f"{label}-seed{s}/summary.json").read_text()) for s in SEEDS]


def test_the_table_compares_runs_of_the_same_seed(out: Path) -> None:
    with (out / "assemble.csv").open() as stream:
        ours, dense = csv.DictReader(stream)
    assemblies, controls = summaries(out, "assembly"), summaries(out, "dense")
    assert (ours["name"], dense["name"]) == ("assembly", "dense")
    assert float(ours["top1"]) == pytest.approx(statistics.mean(run["top1"] for run in assemblies))
    pairs = [ours["top1"] - run["top1"] for ours, run in zip(assemblies, controls, strict=True)]
    assert float(dense["difference"]) == pytest.approx(statistics.mean(pairs))
    # The 97.5 % quantile of t with one degree of freedom, from a table.
    half = 12.7062047362 * statistics.stdev(pairs) / math.sqrt(2)
    assert float(dense["difference_low"]) == pytest.approx(statistics.mean(pairs) - half)
    assert (float(dense["kept"]), float(dense["params_kept"])) == (1, 1)
    assert float(ours["kept"]) == pytest.approx(0.6, abs=0.01)
    assert float(ours["params_kept"]) == pytest.approx(
        assemblies[0]["assembly"]["params_kept_of_one"]
    )
    assert (out / "assemble.png").read_bytes().startswith(b"\x89PNG")


def test_subsets_are_means_over_the_seeds(out: Path) -> None:
    rows = json.loads((out / "assemble.json").read_text())["subsets"]
    tables = [
        json.loads((out / f"assembly-seed{seed}/assembly.json").read_text())["rows"]
        for seed in SEEDS
    ]
    assert [row["experts"] for row in rows] == [[1], [2], [1, 2], [1], [2]]
    for row, first, second in zip(rows, *tables, strict=True):
        for name in ("top1", "kept", "params_kept"):
            assert row[name] == pytest.approx((first[name] + second[name]) / 2)


def test_subsets_of_an_older_version_are_evaluated_again(words: list[object], out: Path) -> None:
    path = out / f"assembly-seed{SEEDS[0]}/assembly.json"
    content = json.loads(path.read_text())
    for row in content["rows"]:
        del row["params_kept"]
    path.write_text(json.dumps(content))
    message = " ".join(call(*words).stderr.split())
    assert f"{path}: no params_kept" in message
    command = shlex.split(message.split("'")[1])
    assert call(*command[1:], "--views", 1).exit_code == 0
    assert call(*words).exit_code == 0


def test_a_second_call_trains_nothing(words: list[object], out: Path) -> None:
    done = {path: path.stat().st_mtime_ns for path in out.glob("*/summary.json")}
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    assert {row["name"] for row in json.loads(result.stdout)["rows"]} == {"assembly", "dense"}
    assert {path: path.stat().st_mtime_ns for path in done} == done
    printed = call(*words, "--print-commands")
    assert (printed.exit_code, printed.stdout) == (0, "")
    other = call(*words, "--levels", 0.5, 0.8)
    assert other.exit_code == 1
    assert "name another folder" in other.stderr


def test_other_commands_take_its_runs(out: Path) -> None:
    run = out / f"assembly-seed{SEEDS[0]}"
    evaluated = call("evaluate", run, "--views", 1, "--json")
    assert evaluated.exit_code == 0, evaluated.output
    content = json.loads(evaluated.stdout)
    (full,) = (row for row in content["assembly"]["rows"] if row["experts"] == [1, 2])
    assert full["top1"] == content["top1"]
    table = call("inspect", run)
    assert table.exit_code == 0, table.output
    assert "experts.1.stages" in table.stdout
    content = json.loads(call("inspect", run, "--json").stdout)
    experts = content["assembly"]["experts"]
    weights = [layer["kept"] for layer in content["layers"] if not layer["is_edge"]]
    assert sum(weights) == content["maskable_kept"]
    assert content["maskable_kept"] == sum(expert["maskable_kept"] for expert in experts)
    fused = call("fuse", run, out / f"dense-seed{SEEDS[0]}", "--out", out / "fused", "--json")
    assert fused.exit_code == 0, fused.output
    assert json.loads(fused.stdout)["runs"][0]["model"] == "2 stgcn"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--levels", 1.2], "'1.2': out of range; choose from [0, 1)"),
        (["--seeds", 0.5], "whole numbers from 0 to"),
        (["--seeds", 1, 2, 1], "name a seed twice"),
        (["--controls", "late"], "late"),
        (
            ["--init", "run", "--controls", "equal", "dense"],
            "single models of the controls (dense);",
        ),
        (["--experts", "stgcn", "--levels", 0.5, 0.9], "1 backbone for 2 levels"),
        (
            ["--experts", "stgcn", "resnet", "--levels", 0.5, 0.9],
            "'resnet': there is no such model",
        ),
        (["--levels", 0.2, 0.2, "--controls", "sparse"], "leave it out of the controls"),
        ([], "--dataset is missing"),
    ],
)
def test_wrong_usage(given: list[object], message: str) -> None:
    result = call("assemble", *given, *([] if not given else ["--dataset", "synthetic"]))
    assert result.exit_code == 2
    assert message in result.stderr
