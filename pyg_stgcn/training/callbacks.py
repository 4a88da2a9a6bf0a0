"""The table of the metrics of every epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from pyg_stgcn.tables import write_csv
from pyg_stgcn.training.recognizer import ActionRecognizer

METRICS = (
    "epoch",
    "step",
    "lr",
    "sparsity",
    "objective",
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
