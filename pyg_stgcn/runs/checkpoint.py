"""Checkpoints with a checksum, written atomically: a kill or a full disk leaves the old file."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from torch import Tensor, distributed

from pyg_stgcn.checked import brief
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, write_atomically
from pyg_stgcn.finite import check_finite
from pyg_stgcn.models.pyskl.foreign_checkpoint import load_tensors
from pyg_stgcn.sparsity import fold_state_dict

#: Precedes the hexadecimal SHA-256 of all bytes before it, at the end of a checkpoint.
_TAG = b"pyg-stgcn sha256 "
_DIGEST_LENGTH = 64
#: Last record of a zip archive without a comment: its signature, its length and its ending.
_END, _END_LENGTH, _NO_COMMENT = b"PK\x05\x06", 22, b"\0\0"
_OTHER = "name another checkpoint"
#: Prefix of the names of the model's tensors in a checkpoint of Lightning.
_PREFIX = "model."

logger = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints with a checksum, under a temporary name in the same folder.

    Lightning's own class writes to the system's temporary folder and moves the file, which is no
    atomic operation if that folder is on another disk.

    Args:
        previous: Path under which the replaced file is kept, by the path of a checkpoint (default:
            replaced files are not kept).
    """

    def __init__(self, previous: dict[Path, Path] | None = None) -> None:
        # Lightning makes paths absolute.
        self._previous = {path.resolve(): kept for path, kept in (previous or {}).items()}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)

        def write(file: Path) -> None:
            file.write_bytes(_sealed(content.getvalue()))
            # If the process is killed between the two renamings, a training continues from the
            # previous file.
            if path.resolve() in self._previous and path.exists():
                path.replace(self._previous[path.resolve()])

        write_atomically(path, write)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        path = Path(path).resolve()
        content, path = _of_first_process(path)
        checkpoint = _parsed(content, path, _OTHER)
        for state in checkpoint.get("callbacks", {}).values():
            if "best_k_models" in state:
                _move(state, path.parent)
        return checkpoint


def _of_first_process(path: Path) -> tuple[bytes, Path]:
    """A checkpoint as the first process reads it, and its path there.

    Others may be on machines without the file. With other folders, their ModelCheckpoints would not
    know the best checkpoint, and would wait for a decision that the first does not ask for.
    """
    if not distributed.is_initialized():
        return _intact(path, _OTHER), path
    found: list[Any] = [None, None]
    if distributed.get_rank() == 0:
        found = [_intact(path, _OTHER), str(path)]
    distributed.broadcast_object_list(found)
    return found[0], Path(found[1])


def _move(state: dict[str, Any], folder: Path) -> None:
    """Replace the folder in the state of a ModelCheckpoint: the run may have been moved.

    With the old folder, Lightning would forget the best checkpoint and replace it by the next one.
    """

    def moved(path: str) -> str:
        return str(folder / Path(path).name) if path else path

    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[name] = moved(state[name])
    state["best_k_models"] = {moved(path): value for path, value in state["best_k_models"].items()}
    state["dirpath"] = str(folder)


def _sealed(content: bytes) -> bytes:
    """Append a checksum to a zip archive as its comment, which readers of archives ignore."""
    assert content[-_END_LENGTH:].startswith(_END) and content.endswith(_NO_COMMENT)
    length = (len(_TAG) + _DIGEST_LENGTH).to_bytes(len(_NO_COMMENT), "little")
    content = content[: -len(_NO_COMMENT)] + length + _TAG
    return content + _digest(content)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def read_checkpoint(path: Path, remedy: str) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, and verify its checksum.

    Args:
        path: The file.
        remedy: What to do if it is damaged.

    Raises:
        InputError: The file cannot be read, is damaged, or is no checkpoint.
    """
    return _parsed(_intact(path, remedy), path, remedy)


def _intact(path: Path, remedy: str) -> bytes:
    """Content of a file with a right checksum."""
    check_is_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    body, digest = content[:-_DIGEST_LENGTH], content[-_DIGEST_LENGTH:]
    if body.endswith(_TAG):
        intact = _digest(body) == digest
    else:
        end = content[-_END_LENGTH:]
        intact = end.startswith(_END) and end.endswith(_NO_COMMENT)
        if intact:
            logger.warning(
                "%s: has no checksum, like checkpoints of earlier versions; damage would go "
                "unnoticed",
                path,
            )
    if not intact:
        raise InputError(f"{path}: damaged, its checksum differs; {remedy}")
    return content


def _parsed(content: bytes, path: Path, remedy: str) -> dict[str, Any]:
    try:
        loaded = load_tensors(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no checkpoint of a run ({brief(error)}); {remedy}") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: no checkpoint of a run; {remedy}")
    return loaded


@dataclass(frozen=True)
class TrainedState:
    """The model of a checkpoint.

    Args:
        weights: State dict of the model without masks; pruned weights are zero.
        masks: Boolean tensors by the names of the weights, true for kept weights.
    """

    weights: dict[str, Tensor]
    masks: dict[str, Tensor]


def read_trained_state(path: Path, remedy: str) -> TrainedState:
    """Read the weights of a checkpoint, with its masks folded into them.

    Args:
        path: A checkpoint of a training.
        remedy: What to do if it cannot be used.

    Raises:
        InputError: The file is damaged, is no checkpoint of a run, or is of a training that
            diverged.
    """
    state = model_state(read_checkpoint(path, remedy), path, remedy)
    return TrainedState(*fold_state_dict(state))


def model_state(checkpoint: dict[str, Any], path: Path, remedy: str) -> dict[str, Tensor]:
    """The model's tensors in a checkpoint, including masks.

    Raises:
        InputError: The checkpoint has no tensors of a model, or one of them is not finite.
    """
    found = checkpoint.get("state_dict")
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise InputError(f"{path}: no checkpoint of a run, it has no 'state_dict'; {remedy}")
    state = {
        name.removeprefix(_PREFIX): value
        for name, value in found.items()
        if name.startswith(_PREFIX)
    }
    check_finite(state, path, remedy)
    return state
