from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.cli.bench import _BACKENDS
from pyg_stgcn.profiling.backends import BACKENDS
from pyg_stgcn.runs.options import TrainOptions


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_run(make_run: Callable[[Path, TrainOptions], Path], tmp_path: Path) -> None:
    options = {"dataset": "synthetic", "channels": 8, "clip_frames": 12}
    run = make_run(tmp_path / "run", TrainOptions.of(**options, method="random", sparsity=0.9))
    # Every backend is started in a process of its own to measure its memory.
    words = ["--backends", "eager", "--rounds", 2, "--batch", 1, 2, "--out"]
    figure = tmp_path / "times.pdf"
    result = call("bench", run, *words, tmp_path / "bench", "--json", "--figure", figure)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["backend"], row["clips"], row["persons"], row["frames"]) for row in rows] == [
        ("eager", clips, persons, 12) for clips in (1, 2) for persons in (1, 2)
    ]
    with (tmp_path / "bench" / "bench.csv").open(encoding="utf-8") as file:
        assert [float(row["milliseconds"]) for row in csv.DictReader(file)] == [
            row["milliseconds"] for row in rows
        ]
    kept = json.loads((tmp_path / "bench" / "bench.json").read_text(encoding="utf-8"))
    assert kept["measurements"] == rows and kept["rounds"] == 2
    assert (tmp_path / "bench" / "bench.png").stat().st_size > 5000
    assert figure.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--persons", 0], "'0': out of range; choose from whole numbers from 1 to 1000"),
        (["--threads", 2, 2], "name a number twice"),
        (["--backends", "fast"], "not one of eager, shrunk"),
        (["--device", "cuda:9"], "not a device of this machine"),
    ],
)
def test_wrong_usage(tmp_path: Path, words: list[object], message: str) -> None:
    (tmp_path / "config.toml").touch()
    result = call("bench", tmp_path, *words)
    assert result.exit_code == 2 and message in result.output


def test_no_run(tmp_path: Path) -> None:
    result = call("bench", tmp_path / "nothing")
    assert result.exit_code == 1 and "no such folder" in result.output


def test_all_backends_can_be_named() -> None:
    assert _BACKENDS == BACKENDS
