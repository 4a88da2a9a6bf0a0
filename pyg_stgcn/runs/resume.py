"""The checkpoint from which an interrupted training continues."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.checkpoint import model_state, read_checkpoint
from pyg_stgcn.runs.run_files import RunFiles, resume_command


def checkpoint_to_resume(run: RunFiles) -> Path | None:
    """The last checkpoint of a run, or else the one before; :obj:`None` if there is neither."""
    for path in (run.last_checkpoint, run.previous_checkpoint):
        if path.exists():
            return path
    return None


def check_resumable(path: Path, run: RunFiles, model: nn.Module) -> None:
    """Raise an error unless a training can continue from a checkpoint.

    Args:
        path: The checkpoint.
        run: The run that it belongs to.
        model: About to be trained, with its masks.

    Raises:
        InputError: The file is damaged, is of another model, holds weights alone, or is of a
            training that diverged.
    """
    other = run.previous_checkpoint
    how = f"continues from {other.name}" if path != other and other.exists() else "starts it again"
    remedy = f"delete the file, and {resume_command(run.folder)} {how}"
    checkpoint = read_checkpoint(path, remedy)
    diverged = "start again in another folder with a lower learning rate"
    found = model_state(checkpoint, path, diverged)
    shapes = {name: value.shape for name, value in found.items()}
    if shapes != {name: value.shape for name, value in model.state_dict().items()}:
        raise InputError(f"{path}: does not fit the model of {run.folder}; {remedy}")
    if "optimizer_states" not in checkpoint:
        raise InputError(f"{path}: holds weights, but not the state of the training; {remedy}")
