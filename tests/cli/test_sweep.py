from __future__ import annotations

import csv
import json
import shlex
import shutil
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.runs.config_file import load_config, save_config

SEEDS = (3, 4)


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def words(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("sweep")
    size = ["--channels", 4, "--clip-frames", 12, "--epochs", 2, "--batch-size", 12]
    size += ["--eval-views", 1, "--accelerator", "cpu", "--no-scale"]
    data = ["--dataset", tiny_pickle, "--root", folder / "data", "--out", folder / "out"]
    varied = ["--sparsities", 0, 0.8, "--methods", "random", "--seeds", *SEEDS, "--jobs", 2]
    return ["sweep", *varied, *data, *size]


@pytest.fixture(scope="module")
def out(words: list[object]) -> Path:
    """A finished sweep; somebody else has started the first runs, and the last two run at once."""
    out = Path(str(words[words.index("--out") + 1]))
    lines = call(*words, "--print-commands").stdout.splitlines()
    assert len(lines) == 4
    for line in lines[:2]:
        program, *arguments = shlex.split(line)
        assert program == "pyg-stgcn"
        assert call(*arguments).exit_code == 0
    assert len(list(out.glob("*/summary.json"))) == 2
    result = call(*words)
    assert result.exit_code == 0, result.output
    return out


def test_each_run_is_there_with_its_options(out: Path) -> None:
    for label, sparsity in (("dense", 0), ("random-0.8", 0.8)):
        for seed in SEEDS:
            options, _ = load_config(out / f"{label}-seed{seed}/config.toml")
            assert (options.sparsity.sparsity, options.optim.seed) == (sparsity, seed)
            assert (options.model.channels, options.data.scale) == (4, False)


def test_the_table_is_that_of_the_runs(words: list[object], out: Path) -> None:
    with (out / "sweep.csv").open() as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    top1 = {
        label: [
            json.loads((out / f"{label}-seed{s}/summary.json").read_text())["top1"] for s in SEEDS
        ]
        for label in ("dense", "random-0.8")
    }
    assert float(rows["dense"]["top1"]) == pytest.approx(statistics.mean(top1["dense"]))
    assert rows["dense"]["difference"] == ""
    row = rows["random"]
    assert float(row["top1_deviation"]) == pytest.approx(statistics.stdev(top1["random-0.8"]))
    differences = [a - b for a, b in zip(top1["random-0.8"], top1["dense"], strict=True)]
    assert float(row["difference"]) == pytest.approx(statistics.mean(differences))
    text = call(*words, "--figure", out / "paper.pdf").stdout
    assert "of all parameters" in text
    for kept in (1 - float(row["achieved"]), float(row["params_kept_fraction"])):
        assert f"{100 * kept:.2f} %" in text
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_a_second_call_trains_what_is_missing_only(words: list[object], out: Path) -> None:
    table = (out / "sweep.csv").read_text()
    lines = call(*words, "--print-commands").stdout
    assert lines == ""
    shutil.rmtree(out / "dense-seed4")
    (line,) = call(*words, "--print-commands").stdout.splitlines()
    program, *arguments = shlex.split(line)
    assert program == "pyg-stgcn"
    assert call(*arguments).exit_code == 0
    started = (out / "dense-seed3/summary.json").stat().st_mtime_ns
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    assert (out / "dense-seed3/summary.json").stat().st_mtime_ns == started

    # Seconds apart, the same seed gives the same run.
    def without_time(text: str) -> list[list[str]]:
        return [line.split(",")[:-1] for line in text.splitlines()]

    assert without_time((out / "sweep.csv").read_text()) == without_time(table)
    assert {row["method"] for row in json.loads(result.stdout)["rows"]} == {"dense", "random"}


def test_runs_with_other_options_are_not_mistaken(words: list[object], out: Path) -> None:
    result = call(*words, "--epochs", 3)
    assert result.exit_code == 1
    assert "holds a run with --epochs 2, not 3; name another folder" in result.stderr
    plain = [word for word in words if word != "--no-scale"]
    assert "holds a run with --scale False, not True" in call(*plain).stderr


def test_a_finished_run_is_not_that_of_a_call_without_its_options(
    words: list[object], out: Path
) -> None:
    config = out / "dense-seed3" / "config.toml"
    before = config.read_text()
    options, metadata = load_config(config)
    save_config(config, options.replace(include="stages.*"), metadata)
    try:
        result = call(*words)
        assert result.exit_code == 1
        assert "holds a run with --include stages.*, not None" in result.stderr
    finally:
        config.write_text(before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--sparsities", 1.2], "out of range"),
        (["--seeds", 0.5], "choose from whole numbers"),
        (["--methods", "lottery"], "lottery"),
        ([], "--dataset is missing"),
    ],
)
def test_wrong_usage(given: list[object], message: str) -> None:
    result = call("sweep", *given, *([] if not given else ["--dataset", "synthetic"]))
    assert result.exit_code == 2
    assert message in result.stderr
