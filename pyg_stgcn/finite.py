"""Checks of tensors for NaN and infinity."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name the first tensor with NaN or infinite values, with their number and the first of them.

    Returns:
        A text such as ``"head.weight (3 of 64 values, the first is nan)"``; :obj:`None` if all
        values are finite.
    """
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        wrong = ~torch.isfinite(tensor)
        if bool(wrong.any()):
            value = tensor[wrong][0].item()
            return f"{name} ({int(wrong.sum())} of {tensor.numel()} values, the first is {value})"
    return None


def check_finite(tensors: Mapping[str, Tensor], source: object, remedy: str) -> None:
    """Refuse tensors with NaN or infinite values.

    Args:
        tensors: Tensors by name.
        source: File or argument that they come from, named in the error.
        remedy: The end of the error.

    Raises:
        InputError: A value is not finite.
    """
    if (found := first_not_finite(tensors)) is not None:
        raise InputError(
            f"{source}: not finite: {found}, as after a training that diverged; {remedy}"
        )
