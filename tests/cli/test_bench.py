from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.cli.bench import _BACKENDS
from pyg_stgcn.profiling.backends import BACKENDS


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.torch_sparse
def test_a_run(tiny_pickle: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    size = ["--channels", 8, "--clip-frames", 12, "--epochs", 1, "--eval-views", 1]
    size += ["--sparsity", 0.9, "--accelerator", "cpu"]
    result = call("train", "--dataset", tiny_pickle, "--root", tmp_path, *size, "--out", run)
    assert result.exit_code == 0, result.output
    words = ["--backends", "eager", "torch-sparse", "--rounds", 2, "--batch", 1, 2, "--out"]
    figure = tmp_path / "times.pdf"
    result = call("bench", run, *words, tmp_path / "bench", "--json", "--figure", figure)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["backend"], row["clips"], row["persons"], row["frames"]) for row in rows] == [
        (backend, clips, persons, 12)
        for clips in (1, 2)
        for persons in (1, 2)
        for backend in ("eager", "torch-sparse")
    ]
    with (tmp_path / "bench" / "bench.csv").open(encoding="utf-8") as file:
        assert [float(row["ratio"]) for row in csv.DictReader(file)] == [
            row["ratio"] for row in rows
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
        (["--backends", "fast"], "not one of eager, compile"),
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
