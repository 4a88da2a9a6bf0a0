from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.checkpoint import AtomicCheckpointIO
from pyg_stgcn.runs.resume import check_resumable, checkpoint_to_resume
from pyg_stgcn.runs.run_files import RunFiles


def save(path: Path, model: nn.Module, **changes: Any) -> None:
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    content = {"state_dict": state, "optimizer_states": [], **changes}
    AtomicCheckpointIO().save_checkpoint(
        {name: value for name, value in content.items() if value is not None}, path
    )


def test_the_last_checkpoint_comes_first(tmp_path: Path) -> None:
    run = RunFiles(tmp_path)
    assert checkpoint_to_resume(run) is None
    save(run.previous_checkpoint, nn.Linear(2, 3))
    assert checkpoint_to_resume(run) == run.previous_checkpoint
    save(run.last_checkpoint, nn.Linear(2, 3))
    assert checkpoint_to_resume(run) == run.last_checkpoint


def test_a_checkpoint_of_the_same_training_passes(tmp_path: Path) -> None:
    run, model = RunFiles(tmp_path), nn.Linear(2, 3)
    save(run.last_checkpoint, model)
    check_resumable(run.last_checkpoint, run, nn.Linear(2, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer_states": None}, r"holds weights, but not the state of the training; delete"),
        ({"state_dict": {"model.weight": torch.zeros(3, 2)}}, "does not fit the model of"),
        ({"state_dict": None}, "no checkpoint of a run"),
        (
            {"state_dict": {"model.weight": torch.full((3, 2), torch.nan)}},
            r"not finite: weight .* start again in another folder with a lower learning rate",
        ),
    ],
)
def test_other_checkpoints_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    run, model = RunFiles(tmp_path), nn.Linear(2, 3)
    save(run.last_checkpoint, model, **changes)
    with pytest.raises(InputError, match=rf"last\.ckpt: .*{message}"):
        check_resumable(run.last_checkpoint, run, model)


def test_the_remedy_names_the_checkpoint_before(tmp_path: Path) -> None:
    run = RunFiles(tmp_path)
    run.checkpoints.mkdir()
    run.last_checkpoint.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"damaged.* --out .*' starts it again$"):
        check_resumable(run.last_checkpoint, run, nn.Linear(2, 3))
    save(run.previous_checkpoint, nn.Linear(2, 3))
    with pytest.raises(InputError, match=r"damaged.* --out .*' continues from previous\.ckpt$"):
        check_resumable(run.last_checkpoint, run, nn.Linear(2, 3))
