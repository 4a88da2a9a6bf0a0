"""The temperature of a run, from the held-out clips to the probabilities of a recogniser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.run_recognizer import open_recognizer
from pyg_stgcn.models import Backbone
from pyg_stgcn.recognition import Recognizer, describe, save
from pyg_stgcn.recognition.calibration import fit_temperature
from pyg_stgcn.runs.batches import clip_transform, split_held_out
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.opening import open_dataset
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.runner import train


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path_factory.mktemp("temperature") / "data"),
        channels=4,
        stages=2,
        clip_frames=12,
        epochs=1,
        batch_size=9,
        eval_views=1,
        hold_out=0.25,
        accelerator="cpu",
    )


@pytest.fixture(scope="module")
def run(config: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "run"
    train(config, folder)
    return Run.open(folder)


def test_it_is_fitted_on_the_training_clips_that_were_held_out(run: Run) -> None:
    _, clips = split_held_out(open_dataset(run.config, "train"), 0.25)
    clips.transform = clip_transform(run.config, clips, train=False, num_views=1)
    model = run.load_model()
    with torch.no_grad():
        logits = np.concatenate([model(clip.x).numpy() for clip in clips])
    summary = json.loads(run.summary.read_text())
    assert summary["temperature_clips"] == len(clips) == 9
    assert run.temperature == pytest.approx(fit_temperature(logits, clips.labels), rel=1e-3)
    assert run.temperature != 1


def test_probabilities_of_recognisers_and_files_are_calibrated(run: Run, tmp_path: Path) -> None:
    poses = np.random.default_rng(0).normal(size=(1, 12, 5, 3)).astype(np.float32)
    model = run.load_model()
    assert isinstance(model, Backbone)
    given: dict[str, Any] = {"classes": run.classes, "preprocessing": run.preprocessing}
    plain = Recognizer.from_model(model, **given).predict(poses)
    expected = plain.probabilities ** (1 / run.temperature)
    expected /= expected.sum()
    calibrated = open_recognizer(run.folder)
    assert calibrated.about["temperature"] == run.temperature
    options = [{"name": "stgcn", **run.options}]
    path = tmp_path / "model.safetensors"
    save(path, model, options=options, temperature=run.temperature, **given)
    for recognizer in (calibrated, Recognizer.load(path)):
        found = recognizer.predict(poses)
        np.testing.assert_allclose(found.probabilities, expected, rtol=1e-4)
        assert found.label == plain.label
    with pytest.raises(InputError, match="temperature: 0"):
        describe(model, **given, temperature=0.0)


def test_runs_without_held_out_clips_are_not_calibrated(
    run: Run, tmp_path: Path, config: TrainOptions
) -> None:
    summary = train(config.replace(hold_out=0.0), tmp_path / "run")
    assert (summary["temperature"], summary["temperature_clips"]) == (1.0, 0)
    # A checkpoint has other weights.
    assert Run.open(run.folder, "best").temperature == 1.0
