"""Commands that take the weights of a checkpoint, also of a run that is not finished."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.models import pyskl_state_dict
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.sparsity import load_sparse


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def failed(result: Result) -> str:
    """The message of a command that failed without a traceback."""
    assert isinstance(result.exception, SystemExit) and result.exit_code != 0, result.output
    return " ".join(result.stderr.split())


def options(dataset: Path, out: Path) -> list[object]:
    size = {"--channels": 4, "--clip-frames": 12, "--epochs": 2, "--batch-size": 12}
    size |= {"--eval-views": 1}
    flat = [word for pair in size.items() for word in pair]
    root = ("--root", out.parent / "data", "--accelerator", "cpu", "--out", out)
    return ["train", "--dataset", dataset, *flat, *root]


@pytest.fixture(scope="module", params=["score", "feedback", "dense"])
def finished(
    request: pytest.FixtureRequest, tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    sparse = () if request.param == "dense" else ("--sparsity", 0.8, "--method", request.param)
    result = call(*options(tiny_pickle, folder), *sparse)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def stopped(finished: Path, tmp_path: Path) -> Path:
    """A run that was stopped after its last epoch."""
    folder = tmp_path / "stopped"
    shutil.copytree(finished, folder)
    for name in ("model", "model.sparse", "masks"):
        (folder / f"{name}.safetensors").unlink(missing_ok=True)
    (folder / "summary.json").unlink()
    (folder / "predictions.npz").unlink()
    return folder


def test_the_last_checkpoint_is_the_model_of_the_end(finished: Path, stopped: Path) -> None:
    assert call("evaluate", finished, "--views", 1).exit_code == 0
    result = call("evaluate", stopped, "--views", 1, "--checkpoint", "last")
    assert result.exit_code == 0, result.output
    one, other = (
        json.loads((folder / name).read_text())
        for folder, name in ((finished, "evaluation.json"), (stopped, "evaluation-last.json"))
    )
    assert other["confusion_csv"] == str(stopped / "confusion-last.csv")
    for told in (one, other):
        for name in ("run", "evaluation_json", "confusion_csv", "confusion_png"):
            del told[name]
    assert one == other  # With as many weights that are kept.
    expected, found = (
        Predictions.load(path)
        for path in (finished / "predictions.npz", stopped / "predictions-last.npz")
    )
    assert (expected.probabilities == found.probabilities).all()
    assert not (stopped / "predictions.npz").exists()


def test_export_of_a_checkpoint(finished: Path, stopped: Path, tmp_path: Path) -> None:
    for folder, more in ((finished, ()), (stopped, ("--checkpoint", "last"))):
        result = call("export", folder, "--out", tmp_path / f"{folder.name}.st", *more)
        assert result.exit_code == 0, result.output
    (weights, metadata), (found, told) = (
        load_sparse(tmp_path / f"{n}.st", kind="recognizer") for n in ("run", "stopped")
    )
    assert told == metadata and found.keys() == weights.keys()
    assert all(found[name].equal(weights[name]) for name in weights)


def test_the_best_checkpoint(finished: Path) -> None:
    for words in (("--views", 1), ("--corruption", 0.5, "--views", 1)):
        result = call("evaluate", finished, "--checkpoint", "best", *words)
        assert result.exit_code == 0, result.output
    summary = json.loads((finished / "summary.json").read_text())
    best = json.loads((finished / "evaluation-best.json").read_text())
    assert best["top1"] == pytest.approx(summary["val_top1_best"])
    assert best["sparsity"] == pytest.approx(summary["sparsity"])
    assert (finished / "robustness-0.5-random-best.csv").exists()


def test_weights_and_masks_are_of_one_epoch(finished: Path, stopped: Path) -> None:
    """Even where a training that is running replaces the checkpoint in between."""
    run = Run.open(stopped, "last")
    model = run.load_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    shutil.copy(stopped / "checkpoints" / "previous.ckpt", run.last_checkpoint)
    run.load_masks(model)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_a_stopped_run_says_what_to_do(stopped: Path, tmp_path: Path, tiny_pickle: Path) -> None:
    resume = f"'pyg-stgcn train --resume --out {stopped}'"
    for words in (["evaluate", stopped], ["export", stopped, "--out", tmp_path / "x"]):
        said = failed(call(*words))
        assert f"finish it with {resume}, or" in said and "--checkpoint last" in said
    said = failed(call(*options(tiny_pickle, tmp_path / "next"), "--init", stopped))
    last = stopped / "checkpoints" / "last.ckpt"
    assert f"finish it with {resume}, or start from what it has with --init {last}" in said
    shutil.rmtree(stopped / "checkpoints")
    said = failed(call("evaluate", stopped, "--checkpoint", "best"))
    assert f"best.ckpt: no such checkpoint yet; continue the run with {resume}" in said
    assert "--checkpoint last" not in failed(call("evaluate", stopped))


def test_training_starts_from_a_checkpoint(
    finished: Path, tiny_pickle: Path, tmp_path: Path
) -> None:
    checkpoint = finished / "checkpoints" / "best.ckpt"
    out = tmp_path / "next"
    more = ("--init", checkpoint, "--epochs", 1, "--lr", 1e-12)
    result = call(*options(tiny_pickle, out), *more)
    assert result.exit_code == 0, result.output
    expected = Run.open(finished, "best").load_model().state_dict()
    found = Run.open(out).load_model().state_dict()
    for key, value in expected.items():
        if "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(found[key], value, rtol=0, atol=1e-6)


def test_damaged_and_foreign_checkpoints(finished: Path, tiny_pickle: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    best = run / "checkpoints" / "best.ckpt"
    train = [*options(tiny_pickle, tmp_path / "next"), "--init", best]
    content = bytearray(best.read_bytes())
    content[1000] ^= 16
    best.write_bytes(content)
    for words in (["evaluate", run, "--checkpoint", "best"], train):
        assert f"{best}: damaged, its checksum differs; name another" in failed(call(*words))
    torch.save({"state_dict": pyskl_state_dict(Run.open(finished).load_model())}, best)
    assert "--init" in failed(call(*train)) and "missing" in failed(call(*train))
    assert not (tmp_path / "next").exists()


def test_resuming_where_nothing_began(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    said = failed(call("train", "--resume", "--out", folder))
    assert "there is no run to continue" in said and "start it without --resume" in said
