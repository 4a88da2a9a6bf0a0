"""Checks that weights can be ranked: NaN and infinity have no importance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.finite import first_not_finite
from pyg_stgcn.sparsity.mask import MaskedParameter


@torch.no_grad()
def check_values(values: Mapping[str, Tensor]) -> None:
    """Raise an error if a tensor has NaN or infinite values. A CUDA device is synchronised.

    Raises:
        InputError: Names the tensor.
    """
    # A finite sum has finite terms, and takes a tenth of the time of looking at each of them.
    suspect = {name: value for name, value in values.items() if not _sum_is_finite(value)}
    if (found := first_not_finite(suspect)) is not None:
        raise InputError(
            f"not finite: {found}, so the least important weights cannot be found; initialise "
            "them, or if the training has diverged, lower the learning rate and continue from an "
            "earlier checkpoint"
        )


def check_weights(masked: Iterable[MaskedParameter]) -> None:
    """Raise an error if a masked weight or a score has NaN or infinite values.

    Raises:
        InputError: Names the parameter.
    """
    for entry in masked:
        scores = entry.parametrization.named_parameters()
        check_values({entry.name: entry.weight} | {f"{entry.name}, {k}": v for k, v in scores})


@torch.no_grad()
def check_rankable(pool: list[MaskedParameter], keys: Tensor) -> None:
    """Raise an error unless weights are finite and their importances are numbers.

    Args:
        pool (list of MaskedParameter): Masked parameters.
        keys (torch.Tensor): Importances of all of them.

    Raises:
        InputError: Names the first parameter.
    """
    check_weights(pool)
    if _sum_is_finite(keys):
        return
    for entry in pool:
        if bool(entry.ranking.isnan().any()):
            method = type(entry.parametrization).__name__
            raise InputError(f"{entry.name}: ranking() of {method} gives NaN; give numbers")


def _sum_is_finite(values: Tensor) -> bool:
    dtype = torch.promote_types(values.dtype, torch.float32)
    return bool(values.sum(dtype=dtype).isfinite())
