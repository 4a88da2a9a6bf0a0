"""Weights and probabilities that are not finite end every command with one error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.fusion import fuse_runs
from pyg_stgcn.evaluation.inspection import inspect_run
from pyg_stgcn.evaluation.robustness import evaluate_robustness
from pyg_stgcn.evaluation.run_evaluation import evaluate_run
from pyg_stgcn.finite import check_finite, first_not_finite
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.sparsity import Ticket, full_masks, save_ticket
from pyg_stgcn.studies.lotteries import Lottery
from pyg_stgcn.training.from_ticket import ticket_metadata
from pyg_stgcn.training.recognizer import ActionRecognizer, TrainingDivergedError
from pyg_stgcn.training.runner import train

#: Statistics of a batch norm.
NORM = "data_norm.running_var"


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path_factory.mktemp("data")),
        channels=2,
        clip_frames=8,
        epochs=1,
        batch_size=12,
        eval_views=1,
        save_epoch=0,
        accelerator="cpu",
    )


@pytest.fixture(scope="module")
def trained(config: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(config, folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(trained, tmp_path / "run"))


def spoil(path: Path, name: str, value: float) -> None:
    weights = load_file(path)
    weights[name].view(-1)[-1] = value
    save_file(weights, path)


def growing(config: TrainOptions, trained: Path, folder: Path, *, weight: float) -> TrainOptions:
    """One step, which multiplies the weights by about -19,000; the classifier's are large."""
    weights = load_file(trained / "model.safetensors")
    weights["head.linear.weight"].fill_(weight)
    save_file(weights, folder / "large.safetensors")
    return config.replace(
        init=str(folder / "large.safetensors"),
        batch_size=36,
        lr=1000,
        weight_decay=10,
        save_epoch=None,
    )


def test_the_first_tensor_is_named_with_its_values() -> None:
    tensors = {
        "count": torch.arange(3),
        "mask": torch.tensor([True]),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "empty": torch.empty(0),
    }
    assert first_not_finite(tensors) is None
    tensors["w"] = torch.tensor([[1, -torch.inf], [torch.nan, 0]])
    assert first_not_finite(tensors) == "w (2 of 4 values, the first is -inf)"
    with pytest.raises(InputError, match=r"^x\.pt: not finite: w \(2 of 4 .* diverged; do this$"):
        check_finite(tensors, "x.pt", "do this")


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_divergence_in_the_last_step(
    config: TrainOptions, trained: Path, tmp_path: Path, sparsity: float
) -> None:
    """The loss of the only step is finite; what the step makes of the weights is not."""
    config = growing(config, trained, tmp_path, weight=1e36)
    config = config.replace(sparsity=sparsity)
    with pytest.raises(TrainingDivergedError, match=r"epoch 1, batch 1 .*lower the learning rate"):
        train(config, tmp_path / "run")
    # Nothing that could pass for a result.
    left = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert left <= {".lock", "config.toml"}


def test_statistics_of_batch_norms_count_too(
    config: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = ActionRecognizer.on_train_batch_end

    def spoiling(recognizer: ActionRecognizer, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2:  # The last.
            dict(recognizer.model.named_buffers())[NORM][0] = torch.nan
        end(recognizer, outputs, batch, batch_idx)

    monkeypatch.setattr(ActionRecognizer, "on_train_batch_end", spoiling)
    with pytest.raises(TrainingDivergedError, match=rf"{NORM} \(1 of \d+ values.*batch 3 "):
        train(config, tmp_path / "run")


def test_finite_weights_without_answers_leave_no_result(
    config: TrainOptions, trained: Path, tmp_path: Path
) -> None:
    config = growing(config, trained, tmp_path, weight=1e34)
    with pytest.raises(InputError, match=r"18 of 18 clips have probabilities .*lower learning"):
        train(config, tmp_path / "run")
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert not left & {"model.safetensors", "predictions.npz", "summary.json"}


USES: dict[str, Callable[[Path], object]] = {
    "evaluate": lambda folder: evaluate_run(folder, num_views=1),
    "robustness": lambda folder: evaluate_robustness(folder, 0.5, num_views=1),
    "inspect": inspect_run,
}


@pytest.mark.parametrize("name", ["head.linear.weight", NORM])
@pytest.mark.parametrize("use", USES)
def test_weights_of_a_run(run: Run, use: str, name: str) -> None:
    spoil(run.weights, name, torch.nan)
    before = {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    with pytest.raises(InputError, match=rf"model\.safetensors: not finite: {name} .*nan.*a lower"):
        USES[use](run.folder)
    assert before == {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}


def test_weights_to_start_from(run: Run, tmp_path: Path) -> None:
    spoil(run.weights, "head.linear.bias", torch.inf)
    for path in (run.folder, run.weights):
        config = run.config.replace(init=str(path), save_epoch=None)
        with pytest.raises(InputError, match=r"^init .*: not finite: head\.linear\.bias .*inf"):
            train(config, tmp_path / "next")
    assert not (tmp_path / "next").exists()


def test_tickets(run: Run, tmp_path: Path) -> None:
    early = load_file(run.early_weights(0))
    early["head.linear.bias"][0] = torch.nan
    masks = full_masks(run.build_model(), exclude=("head.*",))
    save_ticket(tmp_path / "ticket", Ticket(masks, early, ticket_metadata(run, 0)))
    config = run.config.replace(ticket=str(tmp_path / "ticket"), save_epoch=None)
    with pytest.raises(InputError, match=r"^ticket .*: not finite: head\.linear\.bias"):
        train(config, tmp_path / "next")
    train(config.replace(redraw=True), tmp_path / "redrawn")  # Takes its masks only.


@pytest.mark.parametrize("name", ["epoch0.safetensors", "model.safetensors"])
def test_weights_that_a_lottery_draws_from(run: Run, tmp_path: Path, name: str) -> None:
    lottery = Lottery(tmp_path / "lottery", {}, [0], rounds=1, rate=0.5, rewind_epoch=0)
    folder = shutil.copytree(run.folder, lottery.job("dense", 0, 0).folder)
    spoil(folder / name, "head.linear.bias", torch.nan)
    stages = lottery.stages()
    next(stages)
    with pytest.raises(InputError, match=rf"{name}: not finite: head\.linear\.bias"):
        next(stages)


def test_probabilities_of_finite_weights(run: Run) -> None:
    weights = load_file(run.weights)
    weights["head.linear.weight"][:] = weights["head.linear.bias"][:] = 3.4e38
    save_file(weights, run.weights)
    before = run.predictions.read_bytes()
    with pytest.raises(InputError, match=r"of 18 clips have probabilities that are not numbers"):
        evaluate_run(run.folder, num_views=1)
    assert run.predictions.read_bytes() == before
    assert not (run.folder / "evaluation.json").exists()


def test_probabilities_that_are_fused(run: Run, trained: Path, tmp_path: Path) -> None:
    found = Predictions.load(run.predictions)
    found.probabilities[4] = np.nan
    found.save(run.predictions)
    with pytest.raises(InputError, match=r"predictions\.npz: .*evaluate"):
        fuse_runs([trained, run.folder], tmp_path / "fused")
    assert not (tmp_path / "fused").exists()


def test_a_validation_that_is_not_finite_is_no_best_one(
    config: TrainOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    step = ActionRecognizer.validation_step

    def spoiling(recognizer: ActionRecognizer, batch: object, batch_idx: int) -> None:
        step(recognizer, batch, batch_idx)
        if recognizer.current_epoch == 1:
            recognizer.val_loss.update(torch.nan)

    monkeypatch.setattr(ActionRecognizer, "validation_step", spoiling)
    train(config.replace(epochs=2), tmp_path / "run")
    assert "epoch 2: the loss of the validation clips is nan" in caplog.text
    best = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == 0
