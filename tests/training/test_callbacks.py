from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pyg_stgcn.training.callbacks import METRICS, EpochTable
from pyg_stgcn.training.recognizer import ActionRecognizer

TRAINED = {"train_loss": 1.5, "train_top1": 0.25}
VALIDATED = {"val_loss": 1.25, "val_top1": 0.5, "val_top5": 1.0}


def trainer_after(epoch: int, *, rank: int = 0) -> Any:
    """A trainer at the end of an epoch, counted from one, of three with ten steps each."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1 / epoch)
    return SimpleNamespace(
        current_epoch=epoch - 1,
        global_step=10 * epoch,
        max_epochs=3,
        optimizers=[optimizer],
        is_global_zero=rank == 0,
    )


@pytest.fixture
def recognizer(monkeypatch: pytest.MonkeyPatch) -> ActionRecognizer:
    """Validates every second epoch."""
    found = ActionRecognizer(nn.Linear(2, 3), 3)
    epochs = iter([TRAINED, TRAINED | VALIDATED, TRAINED])
    monkeypatch.setattr(found, "take_epoch_metrics", lambda: next(epochs))
    return found


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_one_row_for_each_epoch(tmp_path: Path, recognizer: ActionRecognizer) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    for epoch in (1, 2):
        table.on_train_epoch_start(trainer_after(epoch), recognizer)
        table.on_train_epoch_end(trainer_after(epoch), recognizer)
        assert len(read(table.path)) == epoch
    one, two = read(table.path)
    assert list(one) == list(METRICS)
    assert (one["epoch"], one["step"], one["lr"], one["val_top1"]) == ("1", "10", "0.1", "")
    assert (two["epoch"], two["step"], two["lr"], two["val_top1"]) == ("2", "20", "0.05", "0.5")
    assert two["sparsity"] == "0.0" and 0 <= float(two["seconds"]) < 60


def test_a_resumed_table_goes_on(tmp_path: Path, recognizer: ActionRecognizer) -> None:
    first, second = EpochTable(tmp_path / "a.csv"), EpochTable(tmp_path / "b.csv")
    first.on_train_epoch_end(trainer_after(1), recognizer)
    second.load_state_dict(first.state_dict())
    second.on_train_epoch_end(trainer_after(2), recognizer)
    assert [row["epoch"] for row in read(second.path)] == ["1", "2"]
    assert [row["epoch"] for row in read(first.path)] == ["1"]


def test_one_process_writes(tmp_path: Path, recognizer: ActionRecognizer) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    table.on_train_epoch_end(trainer_after(1, rank=1), recognizer)
    assert len(table.rows) == 1 and not table.path.exists()
