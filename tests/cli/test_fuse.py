from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.cli._lists import ListsCommand, Names, Numbers
from pyg_stgcn.ranges import Range


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--weights", "2", "2", "1", "1", "a", "b"], ((2, 2, 1, 1), ("a", "b"))),
        (["a", "b", "--weights", "2", "-1", ".5"], ((2, -1, 0.5), ("a", "b"))),
        (["a", "--weights", "2:2:1", "b"], ((2, 2, 1), ("a", "b"))),
        (["--weights=1,3", "a"], ((1, 3), ("a",))),
        (["a", "1"], (None, ("a", "1"))),
    ],
)
def test_an_option_takes_all_numbers_that_follow(words: list[str], expected: tuple) -> None:
    @click.command(cls=ListsCommand)
    @click.argument("names", nargs=-1)
    @click.option("--weights", type=Numbers(Range(-1, 3)))
    def command(names: tuple[str, ...], weights: tuple[float, ...] | None) -> None:
        assert (weights, names) == expected

    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_an_option_takes_all_names_that_follow() -> None:
    @click.command(cls=ListsCommand)
    @click.argument("others", nargs=-1)
    @click.option("--methods", type=Names(["score", "set"]))
    def command(others: tuple[str, ...], methods: tuple[str, ...]) -> None:
        assert (methods, others) == (("set", "score"), ("other",))

    result = CliRunner().invoke(command, ["--methods", "set", "score", "other"])
    assert result.exit_code == 0, result.output
    wrong = CliRunner().invoke(command, ["--methods", "other"])
    assert "'other' is not one of score, set" in wrong.output


@pytest.fixture(scope="module")
def runs(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("fuse")
    size = ["--channels", 4, "--clip-frames", 12, "--epochs", 2, "--batch-size", 12]
    size += ["--eval-views", 1, "--hold-out", 0.25, "--accelerator", "cpu"]
    for stream in ("joint", "joint-motion"):
        options = ["--dataset", tiny_pickle, "--root", folder / "data", "--stream", stream, *size]
        result = call("train", *options, "--out", folder / stream)
        assert result.exit_code == 0, result.output
    return [folder / "joint", folder / "joint-motion"]


def test_fuse(runs: list[Path], tmp_path: Path) -> None:
    figure = tmp_path / "fused.pdf"
    result = call("fuse", *runs, "--out", tmp_path / "fusion", "--figure", figure)
    assert result.exit_code == 0, result.output
    assert f"figure: {figure}" in result.stdout and figure.read_bytes().startswith(b"%PDF")
    assert "fused" in result.stdout and "published" in result.stdout
    content = json.loads(
        call("fuse", *runs, "--weights", 1, 3, "--out", tmp_path / "fusion", "--json").stdout
    )
    assert [run["weight"] for run in content["runs"]] == [1, 3]
    assert Path(content["fusion_png"]).exists()
    searched = call("fuse", *runs, "--search", "--out", tmp_path / "fusion")
    assert "held-out" in searched.stdout


def test_wrong_usage(runs: list[Path], tmp_path: Path) -> None:
    out = ["--out", tmp_path / "fusion"]
    assert call("fuse").exit_code == 2
    for words, message in (
        (["--weights", 1, "--search"], "exclude each other"),
        (["--weights", "heavy"], "'heavy' is no list of numbers"),
        (["--weights"], "requires an argument"),
    ):
        result = call("fuse", *runs, *out, *words)
        assert result.exit_code == 2 and message in result.output
    short = call("fuse", *runs, *out, "--weights", 1)
    assert short.exit_code == 1 and "1 weight for 2 runs" in short.output
    empty = tmp_path / "empty"
    shutil.copytree(runs[0], empty)
    (empty / "predictions.npz").unlink()
    assert "evaluate" in call("fuse", empty, runs[1], *out).output
    assert not (tmp_path / "fusion").exists()
