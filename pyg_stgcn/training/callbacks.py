"""Callbacks of the epochs: the table of metrics, and lines of progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from pyg_stgcn.progress import tell
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.tables import write_csv
from pyg_stgcn.training.recognizer import ActionRecognizer

METRICS = (
    "epoch",
    "step",
    "lr",
    "sparsity",
    "train_loss",
    "train_top1",
    "val_loss",
    "val_top1",
    "val_top5",
    "seconds",
)


class EpochTable(Callback):
    """Writes a table with one row for each epoch.

    Checkpoints hold the rows, so that a resumed run writes the same table as an uninterrupted one
    (except for the seconds).

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._started = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, ActionRecognizer)
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
                "sparsity": pl_module.sparsity,
                "seconds": round(time.monotonic() - self._started, 3),
                **pl_module.take_epoch_metrics(),
            }
        )
        if trainer.is_global_zero:
            write_csv(self.path, METRICS, self.rows)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])


class EpochLines(Callback):
    """Logs one line for each validated epoch, for output that is not a terminal.

    Args:
        table: The table whose last row is printed.
    """

    def __init__(self, table: EpochTable) -> None:
        self.table = table

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        row = self.table.rows[-1]
        if "val_top1" not in row:
            return
        tell(
            f"epoch {row['epoch']:>3}/{trainer.max_epochs}  loss {row['train_loss']:.4f}  "
            f"train {row['train_top1']:.1%}  val {row['val_top1']:.1%}  "
            f"sparsity {row['sparsity']:.1%}  {row['seconds']:.1f} s/epoch"
        )


class TimeEstimate(Callback):
    """Logs the estimated time to the end after the first epoch.

    Args:
        table: The table with the seconds of the epoch.
    """

    def __init__(self, table: EpochTable) -> None:
        self.table = table
        self._told = False

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        left = (trainer.max_epochs or 0) - trainer.current_epoch - 1
        if not self._told and left > 0:
            seconds = left * self.table.rows[-1]["seconds"]
            tell(f"estimated time to the end: {duration(seconds)} for {left} more epochs")
        self._told = True


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(90), duration(5_400), duration(200_000)
        ('90 s', '90 min', '56 h')
    """
    if seconds >= 6_000:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


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
        f"clips: {data['train_clips']:,} for training, {data['val_clips']:,} for validation; "
        f"classes: {len(run.classes)}"
    )
    tell(
        f"parameters: {counts['params_total']:,}, of which {counts['params_maskable']:,} are "
        f"maskable; device: {device}"
    )
