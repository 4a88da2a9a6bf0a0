"""A compiled training: the run of any other, up to rounding."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.checkpoint import read_checkpoint
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training import compiled_pass
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.runner import train


@pytest.fixture
def config(
    tiny_pickle: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> TrainOptions:
    # Traced, but not compiled to kernels, which takes long.
    monkeypatch.setattr(compiled_pass, "BACKEND", "eager")
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)
    request.addfinalizer(torch.compiler.reset)
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path / "data"),
        channels=4,
        stages=2,
        clip_frames=8,
        epochs=2,
        batch_size=16,
        sparsity=0.5,
        eval_views=1,
        accelerator="cpu",
    )


class Killed(BaseException):
    """Stands for the end of the process."""


def test_the_same_run_as_without_which_resumes(config: TrainOptions, tmp_path: Path) -> None:
    plain, compiled = tmp_path / "plain", tmp_path / "compiled"
    train(config, plain)

    def stop(recognizer: ActionRecognizer) -> None:
        if recognizer.current_epoch == 1:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ActionRecognizer, "on_train_epoch_start", stop)
        train(config, compiled)
    train(config.replace(compile=True), compiled, resume=True)
    runs = [Run.open(folder) for folder in (plain, compiled)]
    states = [read_checkpoint(run.last_checkpoint, "")["state_dict"] for run in runs]
    assert states[0].keys() == states[1].keys()
    weights = [load_file(folder / "model.safetensors") for folder in (plain, compiled)]
    torch.testing.assert_close(*weights, rtol=1e-2, atol=1e-3)
    tables = []
    for folder in (plain, compiled):
        with (folder / "metrics.csv").open() as stream:
            tables.append([float(row["train_loss"]) for row in csv.DictReader(stream)])
    assert tables[1] == pytest.approx(tables[0], rel=1e-3)


def test_what_cannot_be_compiled_is_said(config: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="compile: batches of a single clip"):
        train(config.replace(compile=True, batch_size=1), tmp_path / "run")
    with pytest.raises(InputError, match="compile: skip_zeros"):
        config.replace(compile=True, skip_zeros=True)
