"""Averages of weights under masks, as Lightning's callbacks keep them."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import StochasticWeightAveraging, WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_swa_avg_fn


def set_up_again(trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
    """Let callbacks that have copied a module before it got masks copy it again.

    The parameters of a module with masks come in another order, and averages pair them by it.
    """
    for callback in _averaging(trainer):
        if callback._average_model is not None:
            callback.setup(trainer, pl_module, "fit")


def averages_of(trainer: pl.Trainer) -> list[AveragedModel]:
    """Averages whose buffers are averaged, or copied, together with the parameters.

    Those of :class:`StochasticWeightAveraging` are not among them: of a module it copies and
    returns the parameters alone.
    """
    averages = [callback._average_model for callback in _averaging(trainer)]
    return [average for average in averages if isinstance(average, AveragedModel)]


def keep_masks_exact(average: AveragedModel) -> None:
    """Let an average take the present values of buffers that are no numbers to average.

    An average of masks would keep each weight that any of them has kept.
    """
    if average.multi_avg_fn is None:
        single: Any = average.avg_fn or get_swa_avg_fn()

        def average_one(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            return single(averaged, current, count) if _is_averaged(averaged) else current

        average.avg_fn = average_one
        return
    several = average.multi_avg_fn

    def average_all(averaged: Any, current: Any, count: Tensor | int) -> None:
        # All tensors of a call have one type.
        if _is_averaged(averaged[0]):
            several(averaged, current, count)
            return
        for old, new in zip(averaged, current, strict=True):
            old.copy_(new)

    average.multi_avg_fn = average_all


def _averaging(trainer: pl.Trainer) -> list[Any]:
    kinds = (WeightAveraging, StochasticWeightAveraging)
    # Lightning names the average by a private attribute only.
    return [callback for callback in trainer.callbacks if isinstance(callback, kinds)]  # type: ignore[attr-defined]


def _is_averaged(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()
