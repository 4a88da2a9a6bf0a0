"""Training on batches that are transformed on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.runner import train


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path_factory.mktemp("data")),
        channels=2,
        stages=2,
        clip_frames=8,
        epochs=2,
        batch_size=12,
        hold_out=0.2,
        eval_views=2,
        accelerator="cpu",
        augment={"crop": 0.8, "frame-loss": 0.2},
        device_transforms=True,
    )


@pytest.fixture(scope="module")
def batched(config: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "batched"
    train(config, folder)
    return Run.open(folder)


def test_trains_as_on_single_clips(config: TrainOptions, batched: Run, tmp_path: Path) -> None:
    assert batched.config.hardware.device_transforms
    train(config.replace(device_transforms=False), tmp_path / "single")
    single = Run.open(tmp_path / "single")
    found, expected = (load_file(run.folder / "model.safetensors") for run in (batched, single))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-4)
    for name in ("predictions", "held_out_predictions"):
        one, other = (Predictions.load(getattr(run, name)) for run in (batched, single))
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-3, atol=1e-4)


def test_resumed_the_same(
    config: TrainOptions, batched: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(recognizer: ActionRecognizer) -> None:
        if recognizer.current_epoch == 1:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ActionRecognizer, "on_train_epoch_start", stop)
        train(config, tmp_path)
    train(config, tmp_path, resume=True)
    found, expected = (load_file(run / "model.safetensors") for run in (tmp_path, batched.folder))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
