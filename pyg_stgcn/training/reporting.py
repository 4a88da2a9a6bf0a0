"""Progress of a training: a bar in a terminal, and lines."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from pyg_stgcn.progress import Pace, bars, duration, tell
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.text import count
from pyg_stgcn.training.callbacks import EpochTable

if TYPE_CHECKING:
    from rich.progress import Progress

#: Work of a training step on a clip, in forward passes: the backward pass takes twice as long.
_STEP = 3
#: Batches after the first, and seconds, that the first estimate of the time needs.
_BATCHES, _SECONDS = 3, 1.0


@rank_zero_only
def tell_overview(run: Run, counts: Mapping[str, int | float], device: torch.device) -> None:
    """Log the size of the data and of the model before the first epoch.

    Args:
        run: The run.
        counts: Of the model, see :func:`pyg_stgcn.runs.folder.sparsity_summary`.
        device: Device of the training.
    """
    data = run.metadata["data"]
    tell(
        f"{count(data['train_clips'], 'clip')} for training, {data['val_clips']:,} for validation; "
        f"{count(len(run.classes), 'class')}; {counts['params_total']:,} parameters, "
        f"{counts['params_maskable']:,} of them maskable; device: {device}"
    )


class TrainingReport(Callback):
    """Reports the progress of the whole training, with an estimate of the time to its end.

    In a terminal, bars show the training and the epoch; lines tell of validated epochs. In a log,
    every epoch has a line, and a long epoch has more of them.

    Args:
        run: About to be trained.
        table: The table whose last row is told.
    """

    def __init__(self, run: Run, table: EpochTable) -> None:
        self.table = table
        data, options = run.metadata["data"], run.config
        self._train, self._val = data["train_clips"], data["val_clips"]
        held_out = self._train * options.data.hold_out / (1 - options.data.hold_out)
        self._last = options.optim.eval_views * (self._val + held_out)
        self._pace = Pace(0)
        self._bars = ExitStack()
        self._progress: Progress | None = None
        self._estimated = False

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epochs, every = trainer.max_epochs or 0, trainer.check_val_every_n_epoch or 1
        validation = self._val * (epochs // every)
        done = _STEP * self._train * trainer.current_epoch
        done += self._val * (trainer.current_epoch // every)
        self._pace = Pace(_STEP * self._train * epochs + validation + self._last, done)
        self._progress = self._bars.enter_context(bars())
        if self._progress is not None:
            total = self._pace.total - self._last
            self._whole = self._progress.add_task("training", total=total, status="")
            self._part = self._progress.add_task("", total=trainer.num_training_batches, status="")

    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._progress is not None:
            text = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._progress.reset(self._part, description=text, status="")

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *batch: Any
    ) -> None:
        number = batch[-1] + 1
        self._pace.done += _STEP * self._train / trainer.num_training_batches
        if self._progress is not None:
            status = f"batch {number}/{trainer.num_training_batches}"
            self._progress.update(self._part, completed=number, status=status)
        if not self._estimated:
            self._first_batches(trainer, number)
        self._show(trainer, f"{number / trainer.num_training_batches:.0%} of the batches")

    @rank_zero_only
    def on_validation_batch_end(self, trainer: pl.Trainer, *rest: Any) -> None:
        self._pace.done += self._val / sum(trainer.num_val_batches)
        self._show(trainer, "validation")

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        row = self.table.rows[-1]
        validated = "val_top1" in row
        left = "" if self._pace.left is None else f"  {duration(self._pace.left)} left"
        if self._progress is None or validated:
            self._pace.tell(f"{epoch_line(row, trainer.max_epochs or 0)}{left}")
        self._estimated = True

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._bars.close()

    def on_exception(self, *rest: Any) -> None:
        self._bars.close()

    def _first_batches(self, trainer: pl.Trainer, number: int) -> None:
        """Start the clock after the first batch of this process; tell the estimate soon after."""
        if self._pace.left is None or number == 1:
            self._pace.restart()
        elif (
            number > _BATCHES and self._pace.elapsed >= _SECONDS
        ) or self._pace.is_time_for_a_line():
            self._estimated = True
            if self._progress is None:
                self._pace.tell(
                    f"estimated time: {duration(self._pace.left)} for "
                    f"{count(trainer.max_epochs or 0, 'epoch')} of "
                    f"{count(int(trainer.num_training_batches), 'batch')}, and the evaluation"
                )

    def _show(self, trainer: pl.Trainer, place: str) -> None:
        """Move the bar, or tell a line if none was told for long."""
        left = "" if self._pace.left is None else f"{duration(self._pace.left)} left"
        if self._progress is not None:
            self._progress.update(self._whole, completed=self._pace.done, status=left)
        elif self._pace.is_time_for_a_line():
            self._pace.tell(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {place}  {left}"
            )


def epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    """The metrics of an epoch in one line.

    Args:
        row: Of the table of metrics.
        epochs: Number of epochs of the training.
    """
    parts = [f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"]
    for name in ("train", "val"):
        if f"{name}_loss" in row:
            loss, top1 = row[f"{name}_loss"], row[f"{name}_top1"]
            parts.append(f"{name} loss {loss:.3f}, {100 * top1:.1f} %")
    parts += [f"sparsity {100 * row['sparsity']:.1f} %", f"{row['seconds']:.1f} s"]
    return "  ".join(parts)
