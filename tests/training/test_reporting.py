from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyg_stgcn.progress import Pace
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.callbacks import EpochTable
from pyg_stgcn.training.reporting import TrainingReport, epoch_line
from pyg_stgcn.training.runner import train

TRAINED = {"epoch": 1, "train_loss": 1.5, "train_top1": 0.25, "sparsity": 0.9, "seconds": 6.54}
VALIDATED = {"val_loss": 1.25, "val_top1": 0.5}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_line_of_an_epoch() -> None:
    start, end = "epoch  1/80  train loss 1.500, 25.0 %  ", "sparsity 90.0 %  6.5 s"
    assert epoch_line(TRAINED, 80) == start + end
    assert epoch_line(TRAINED | VALIDATED, 80) == f"{start}val loss 1.250, 50.0 %  {end}"


class Training:
    """Calls of Lightning during a training: 60 training clips, 30 for validation, 10 views."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, batches: int, epochs: int, every: int = 1
    ) -> None:
        self.clock = Clock()
        monkeypatch.setattr("pyg_stgcn.training.reporting.Pace", partial(Pace, clock=self.clock))
        config = TrainOptions.of(dataset="ntu60", eval_views=10)
        metadata = {"data": {"train_clips": 60, "val_clips": 30}}
        run: Any = SimpleNamespace(metadata=metadata, config=config)
        self.table = EpochTable(Path("metrics.csv"))
        self.report = TrainingReport(run, self.table)
        self.trainer: Any = SimpleNamespace(
            current_epoch=0,
            max_epochs=epochs,
            check_val_every_n_epoch=every,
            num_training_batches=batches,
            num_val_batches=[1],
        )

    def __call__(self, step: float, first: int = 0, *, upto: int = 10**9) -> None:
        """Train, with so many seconds a batch; a validation takes no time."""
        self.trainer.current_epoch = first
        self.report.on_train_start(self.trainer, None)
        for epoch in range(first, self.trainer.max_epochs):
            self.trainer.current_epoch = epoch
            self.report.on_train_epoch_start(self.trainer, None)
            for batch in range(self.trainer.num_training_batches):
                self.clock.now += step
                self.report.on_train_batch_end(self.trainer, None, None, None, batch)
                upto -= 1
                if not upto:
                    return
            row = TRAINED | {"epoch": epoch + 1}
            if (epoch + 1) % self.trainer.check_val_every_n_epoch == 0:
                self.report.on_validation_batch_end(self.trainer)
                row |= VALIDATED
            self.table.rows.append(row)
            self.report.on_train_epoch_end(self.trainer, None)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Training]:
    return partial(Training, monkeypatch)


def test_the_estimate_comes_after_a_few_batches(
    training: Callable[..., Training], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = training(batches=10, epochs=3)
    run(1.0, upto=4)
    # A step of 6 clips is the work of 18 forward passes. Missing are 26 steps, 3 validations of 30
    # clips and 10 views of each clip: (26 * 18 + 90 + 300) / 18 steps of one second.
    assert caplog.messages == [
        "estimated time: 48 s for 3 epochs of 10 batches, and the evaluation"
    ]


def test_one_line_for_each_short_epoch(
    training: Callable[..., Training], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    training(batches=2, epochs=4, every=2)(0.1)
    epochs = [line.split("  ")[0] for line in caplog.messages]
    assert epochs == ["epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4"]
    assert ["val loss" in line for line in caplog.messages] == [False, True, False, True]
    assert all(line.endswith(" left") for line in caplog.messages)


def test_a_long_epoch_is_not_silent(
    training: Callable[..., Training], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = training(batches=100, epochs=2)
    gaps, before = [], 0.0

    def note(record: Any) -> bool:
        nonlocal before
        gaps.append(run.clock.now - before)
        before = run.clock.now
        return True

    caplog.handler.addFilter(note)
    run(36.0)  # An hour an epoch.
    caplog.handler.removeFilter(note)
    assert max(gaps) <= 4 * 36 and len(gaps) > 150
    assert any(re.match(r"epoch 2/2  50% of the batches  \S+ \S+ left", m) for m in caplog.messages)


def test_a_resumed_training_counts_what_was_done_before(
    training: Callable[..., Training], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = training(batches=10, epochs=11)
    run(1.0, first=10)
    # Missing are six steps, and as much after them as above.
    assert caplog.messages[0].startswith("estimated time: 24 s")
    assert caplog.messages[1].startswith("epoch 11/11")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_real_training_says_what_it_does(
    terminal: bool,
    tiny_pickle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    caplog.set_level("INFO")
    options = TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path),
        channels=2,
        clip_frames=4,
        epochs=2,
        batch_size=12,
        eval_views=1,
        accelerator="cpu",
    )
    train(options, tmp_path / "run")
    told = [entry.message for entry in caplog.records if entry.name == "pyg_stgcn.progress"]
    recipe, overview, *epochs = told
    assert recipe.startswith("recipe: small data (36 clips): width 2, 4 frames, 2 epochs")
    assert overview.startswith("36 clips for training, 18 for validation; 3 classes; ")
    assert overview.endswith(" device: cpu")
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
