"""Checkpoints of other toolboxes: files of torch.save that nobody vouches for."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from pyg_stgcn.checked import brief
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file
from pyg_stgcn.models.pyskl.pickle_cost import check_cost

#: Before PyTorch 1.6: a number, a version, metadata of the system, the content and its storages.
_NUM_OLD_PICKLES = 5
#: Maximum bytes of the tensors for each stored byte: tensors may share their memory.
_MAX_SHARING = 4
#: What PyTorch says after the advice to load the file without any safety.
_REASON = re.compile(r"WeightsUnpickler error: (.+)|^.*GLOBAL.*$", re.MULTILINE)


def read_foreign_checkpoint(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The mapping in a file of :func:`torch.save`; no code in it is run (``weights_only``).

    Args:
        path (path): The file.

    Raises:
        InputError: If it cannot be read, holds more than plain containers and tensors, or tensors
            that would take more memory than the file has numbers for.
    """
    path = Path(path)
    check_is_file(path)
    if path.is_dir():
        raise InputError(f"{path}: is not a file; name the file of a checkpoint")
    try:
        with path.open("rb") as file:
            content = load_tensors(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise InputError(
            f"{path}: holds more than tensors, or is damaged ({brief(error)}); if you trust it, "
            f"save its state_dict alone and load that"
        ) from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a state dict")
    return content


def load_tensors(file: BinaryIO) -> Any:
    """Reads a file of :func:`torch.save`: plain containers and tensors, on the CPU.

    Args:
        file: At its start.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, holds anything else, or would take more time or memory than its
            length lets expect.
    """
    try:
        _check_pickles(file)
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
        _check_tensors(content)
    except (OSError, ValueError):
        raise
    except Exception as error:  # Damaged bytes can raise anything that a container can.
        found = _REASON.search(str(error))
        raise ValueError(found[1] or found[0] if found else str(error)) from None
    return content


def _check_pickles(file: BinaryIO) -> None:
    """Refuse files that would take more time or memory than their length suggests."""
    if file.read(4) != b"PK\3\4":  # As PyTorch decides.
        file.seek(0)
        for _ in range(_NUM_OLD_PICKLES):
            check_cost(file)
        return
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        # torch.save compresses nothing.
        declared = sum(info.file_size for info in archive.infolist())
        if declared > size:
            raise ValueError(f"{size} bytes that expand to {declared}")
        for name in archive.namelist():
            if name.endswith(".pkl"):
                check_cost(io.BytesIO(archive.read(name)))


def _check_tensors(content: Any) -> None:
    """Refuse tensors whose numbers are not in the file, such as one number for a whole tensor."""
    kept: dict[int, int] = {}
    asked = 0
    for tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise ValueError("a tensor that is not plain numbers")
        storage = tensor.untyped_storage()
        size = tensor.numel() * tensor.element_size()
        if size > storage.nbytes():
            raise ValueError(f"a tensor of {size} bytes with {storage.nbytes()} in the file")
        kept[storage.data_ptr()] = storage.nbytes()
        asked += size
    if asked > _MAX_SHARING * sum(kept.values()):
        raise ValueError(f"tensors of {asked} bytes with {sum(kept.values())} in the file")


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors in nested containers, each once."""
    seen: set[int] = set()
    parts = [content]
    while parts:
        part = parts.pop()
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, Mapping | list | tuple | set) and id(part) not in seen:
            seen.add(id(part))
            parts += part.values() if isinstance(part, Mapping) else part
