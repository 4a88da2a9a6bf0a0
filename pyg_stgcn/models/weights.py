"""Reads weights from disk and compares them with those of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pyg_stgcn.checked import brief, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity.container import describe

# A header may also name types that this version of PyTorch does not know.
_DAMAGED = (SafetensorError, LookupError, TypeError, ValueError, RuntimeError)
_LONGEST_NAME = 200
_EXPERT = re.compile(r"experts\.(\d+)\.")


def read_weights(path: Path, remedy: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file, by name.

    Args:
        path: The file.
        remedy: The end of the error: what to do if it cannot be used.

    Raises:
        InputError: It is missing, is no plain file, or is damaged.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "there is no such file"
        raise InputError(f"{path}: {what}; {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            sparse = describe(file.metadata() or {})
            found = {} if sparse else load_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from None
    except MemoryError:
        raise InputError(f"{path}: holds more than fits into the memory; {remedy}") from None
    except _DAMAGED as error:
        raise InputError(f"{path}: damaged ({brief(error)}); {remedy}") from None
    if sparse:
        raise InputError(f"{path}: is {sparse[0]}, not plain safetensors; {sparse[1]}, or {remedy}")
    for name in found:
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise InputError(f"{path}: {shown(name)} is no name of a weight; {remedy}")
    return found


def with_weights(
    build: Callable[[], nn.Module],
    found: Mapping[str, Tensor],
    num_experts: int,
    where: object,
    remedy: str,
) -> nn.Module:
    """Builds a model and gives it weights, compared with them before it takes any memory.

    Args:
        build: Makes the model.
        found: The weights.
        num_experts: Experts of the model, 0 if it is no assembly.
        where: The file of the weights, for the error.
        remedy: The end of the error: what to do if they do not fit.

    Raises:
        InputError: The weights differ from the model's in name, shape or type, or the model cannot
            be built.
    """
    experts = {match[1] for name in found if (match := _EXPERT.match(name))}
    if len(experts) != num_experts:
        raise InputError(
            f"{where}: the weights are not those of the model that is described (they are of "
            f"{len(experts)} experts, not {num_experts}); {remedy}"
        )
    try:
        with torch.device("meta"):
            needed = build().state_dict()
    except (*_DAMAGED, ArithmeticError, AttributeError, MemoryError) as error:
        raise InputError(
            f"{where}: describes no model that this version can build ({brief(error)}); {remedy}"
        ) from None
    if unfit := _difference(needed, found):
        raise InputError(
            f"{where}: the weights are not those of the model that is described ({unfit}); {remedy}"
        )
    model = build()
    model.load_state_dict(found)
    return model


def _difference(needed: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """The first difference, in words; empty if there is none."""
    for name in sorted(needed.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in needed:
            return f"{name} has no place in the model"
        wanted, ours = (
            f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
            for tensor in (needed[name], found[name])
        )
        if ours != wanted:
            return f"{name} is {ours}, not {wanted}"
    return ""
