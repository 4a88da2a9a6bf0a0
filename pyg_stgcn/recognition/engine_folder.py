"""The folder of an exported engine: a model, the sources that run it, and examples."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

import pyg_stgcn
from pyg_stgcn.engine.engine import MODEL_FILE
from pyg_stgcn.errors import InputError
from pyg_stgcn.recognition.engine_file import engine_bytes

_PACKAGE = Path(pyg_stgcn.__file__).parent
#: Folders of the export, each with a folder of the package and patterns of its files. The other
#: kernels are those of training, which need PyTorch.
_SOURCES = {
    ".": ("engine/folder", ("*.txt", "*.md", "example.*")),
    "include": ("engine/include", ("*.h",)),
    "src": ("engine/src", ("api.cpp", "*.h", "*.inc", "*.cpp")),
    "kernels": (
        "runtime/kernels",
        ("choose.*", "kernels.*", "kernels_*.cpp", "frames.inc", "simd.h", "table.inc"),
    ),
}
#: Made by the user of an export, and kept.
_BUILD = "build"
_MARKS = (MODEL_FILE, "CMakeLists.txt", "include")


def save_engine_folder(
    folder: str | os.PathLike[str],
    model: nn.Module,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    temperature: float = 1.0,
) -> Path:
    """Write a trained model with the sources of the engine, and examples in C and Python.

    Args:
        folder (str or os.PathLike): Folder to write. An earlier export is replaced once the new one
            is complete; its ``build`` stays.
        model (Backbone or Assembly): The trained model, with masks or without.
        classes (sequence of str): Names of the classes.
        preprocessing (dict): See :func:`~pyg_stgcn.recognition.describe`.
        temperature (float): Divides the logits before the softmax. (default: :obj:`1.0`)

    Returns:
        Path: The file of the model in the folder.

    Raises:
        InputError: If there is something else at that place, the folder around it is missing, or
            :func:`~pyg_stgcn.recognition.save_engine` refuses the model.
    """
    folder = Path(folder).resolve()
    files = _source_files()
    check_folder(folder)
    content = engine_bytes(model, classes, preprocessing, temperature)
    made = folder.with_name(f".{folder.name}.{os.getpid()}")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        made.mkdir()
        for place, source in files.items():
            (made / place).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, made / place)
        (made / MODEL_FILE).write_bytes(content)
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
        if (old / _BUILD).exists():
            (old / _BUILD).rename(folder / _BUILD)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return folder / MODEL_FILE


def check_folder(folder: Path) -> None:
    """Check, before any work, that an export can be put where it is to be written.

    Raises:
        InputError: The place holds something else than an export, or its folder does not exist.
    """
    folder = Path(folder).resolve()
    if not folder.parent.is_dir():
        raise InputError(
            f"{folder}: there is no folder {folder.parent}; make it, or name another one"
        )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name another one")
    if folder.samefile(Path.cwd()):
        raise InputError(f"{folder}: is the folder you are in; name another one")
    found = {entry.name for entry in folder.iterdir()}
    ours = {Path(place).parts[0] for place in _source_files()} | {MODEL_FILE, _BUILD}
    if found and not (found >= set(_MARKS) and found <= ours):
        other = sorted(found - ours) or sorted(found)
        raise InputError(
            f"{folder}: is not an earlier export alone (it has {other[0]!r}); name another folder"
        )


def _source_files() -> dict[str, Path]:
    """The files of an export by their place in it.

    Raises:
        InputError: The package was installed without them.
    """
    found: dict[str, Path] = {}
    for place, (source, patterns) in _SOURCES.items():
        for pattern in patterns:
            files = sorted((_PACKAGE / source).glob(pattern))
            if not files:
                raise InputError(
                    f"{_PACKAGE / source}: the sources of the engine are missing; install "
                    "pyg-stgcn again"
                )
            found |= {str(Path(place) / file.name): file for file in files}
    return found
