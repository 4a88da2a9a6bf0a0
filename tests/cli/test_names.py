"""Names from outside, which nobody has chosen to be kind to a terminal or a figure."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.runs.predictions import Predictions

CLASSES = ["true", "win $$ prize [/x]", "\x1b[2Jred\nline\u202e"]
FOLDER = "_runs [/b] $x$ \x1b[2J"


def call(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output and "\u202e" not in result.output
    return result


@pytest.fixture(scope="module")
def named(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny dataset under other names."""
    content = pickle.loads(tiny_pickle.read_bytes())
    content["meta"]["classes"] = CLASSES
    renamed = {a["frame_dir"]: f"{a['frame_dir']}\x1b[2J[/x]" for a in content["annotations"]}
    for annotation in content["annotations"]:
        annotation["frame_dir"] = renamed[annotation["frame_dir"]]
    content["split"] = {
        f"[/s]\x1b_{name.split('_')[1]}": [renamed[clip] for clip in clips]
        for name, clips in content["split"].items()
    }
    path = tmp_path_factory.mktemp("named") / "poses [v2] \x1b.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture(scope="module")
def run(named: Path) -> Path:
    out = named.parent / FOLDER / "run"
    size = ["--channels", 4, "--clip-frames", 12, "--epochs", 1, "--batch-size", 12]
    size += ["--eval-views", 1, "--accelerator", "cpu"]
    said = call("train", "--dataset", named, "--out", out, "--sparsity", 0.5, *size)
    assert r"_runs [/b] $x$ \x1b[2J/run" in said.stdout
    return out


def test_info_shows_them(named: Path) -> None:
    out = call("datasets", "info", named).stdout
    assert r"poses [v2] \x1b.pkl" in out and r"[/s]\x1b, train" in out
    assert "win $$ prize [/x]" in out and r"\x1b[2Jred\nline\u202e" in out
    assert json.loads(call("datasets", "info", named, "--json").stdout)["classes"] == CLASSES


def test_evaluate_writes_them(run: Path) -> None:
    result = json.loads(call("evaluate", run, "--views", 1, "--json").stdout)
    assert result == json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert Path(result["run"]) == run
    with (run / "confusion.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["true", *CLASSES] and [row[0] for row in rows] == CLASSES
    told = Predictions.load(run / "predictions.npz")
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (told.labels, told.probabilities.argmax(axis=1)), 1)
    assert [[int(count) for count in row[1:]] for row in rows] == expected.tolist()
    assert r"\x1b[2J/run/confusion.png" in call("evaluate", run, "--views", 1).stdout


def test_a_figure_that_cannot_be_drawn_loses_no_numbers(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("no room for the axes")

    (run / "evaluation.json").unlink(missing_ok=True)
    monkeypatch.setattr("pyg_stgcn.evaluation.run_evaluation.plot_confusion", fail)
    monkeypatch.setattr("pyg_stgcn.evaluation.robustness.plot_robustness", fail)
    monkeypatch.setattr("pyg_stgcn.evaluation.fusion.plot_fusion", fail)
    monkeypatch.setattr("pyg_stgcn.evaluation.inspection.plot_masks", fail)
    out = run.parent / "fusion"
    for words in (
        ["evaluate", run, "--views", 1],
        ["evaluate", run, "--views", 1, "--corruption", "all"],
        ["fuse", run, run, "--out", out],
    ):
        assert CliRunner().invoke(main, [str(word) for word in words]).exit_code == 1
    inspected = CliRunner().invoke(main, ["inspect", str(run), "--figure", str(out / "m.png")])
    assert inspected.exit_code == 1 and "maskable weights" in inspected.stdout
    for path in (run / "evaluation.json", run / "robustness.json", out / "fusion.json"):
        assert 0 <= json.loads(path.read_text(encoding="utf-8")).get("top1", 0) <= 1


def test_inspect_and_show_draw_them(run: Path, named: Path, tmp_path: Path) -> None:
    said = call("inspect", run, run, "--figure", tmp_path / "masks.png")
    assert "_runs [/b] $x$" in said.stdout
    assert (tmp_path / "masks.png").stat().st_size > 1_000
    call("datasets", "show", named, "--clip", 1, "--figure", tmp_path / "clip.png")
    assert (tmp_path / "clip.png").stat().st_size > 1_000


def test_commands_for_a_shell_are_one_line_each(named: Path, tmp_path: Path) -> None:
    out = tmp_path / "two\nlines\x1b"
    sweep = ["sweep", "--dataset", named, "--sparsities", 0, "--out", out, "--print-commands"]
    lines = call(*sweep, "--seeds", 0, 1).stdout.splitlines()
    assert len(lines) == 2 and all(line.startswith("pyg-stgcn train ") for line in lines)
