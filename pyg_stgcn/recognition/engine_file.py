"""The file of a trained model for the engine, which runs it without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_place, write_atomically
from pyg_stgcn.program_file import program_bytes
from pyg_stgcn.recognition.description import describe
from pyg_stgcn.recognition.input_section import input_section, input_statistics
from pyg_stgcn.runtime.program_compiler import compile_program


def save_engine(
    path: str | os.PathLike[str],
    model: nn.Module,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    temperature: float = 1.0,
) -> None:
    """Write a trained model for :mod:`pyg_stgcn.engine` and its C interface.

    The file is a program (docs/reference/program.md) with skeleton, classes and preprocessing. A
    model that keeps all its weights becomes a program too.

    Args:
        path (str or os.PathLike): File to write; replaced only once the new one is complete.
        model (Backbone or Assembly): The trained model, with masks or without.
        classes (sequence of str): Names of the classes.
        preprocessing (dict): How a raw clip becomes the input, see
            :func:`~pyg_stgcn.recognition.describe`.
        temperature (float): Divides the logits before the softmax. (default: :obj:`1.0`)

    Raises:
        InputError: If the kernels cannot run the model, an argument is wrong, or the folder of the
            file does not exist.

    Example:
        >>> save_engine("model.stgcn", model, ["wave", "walk"], preprocessing)
        >>> pyg_stgcn.engine.load("model.stgcn").classes
        ['wave', 'walk']
    """
    check_place(Path(path))
    content = engine_bytes(model, classes, preprocessing, temperature)
    write_atomically(Path(path), lambda file: file.write_bytes(content))


def engine_bytes(
    model: nn.Module,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    temperature: float = 1.0,
) -> bytes:
    """The content of the file of :func:`save_engine`."""
    about = describe(model, classes, preprocessing, temperature)
    program = compile_program(model)
    if len(classes) != len(program.head_bias):
        raise InputError(
            f"classes: {len(classes)} names, but the model has {len(program.head_bias)} classes; "
            "name each once"
        )
    metadata: dict[str, Any] = {
        "about": about,
        "input": input_section(about),
        "temperature": temperature,
    }
    if (statistics := input_statistics(about)) is not None:
        metadata["mean"], metadata["std"] = statistics
    return program_bytes(program, metadata)
