"""Masks for any LightningModule."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import SparsityController, copy_masks, make_schedule, sparsify
from pyg_stgcn.training.averages import averages_of, keep_masks_exact, set_up_again


class SparsityCallback(Callback):
    """Sparsifies the module at the start of the training and updates the masks after every step.

    The module gets its masks before its optimiser is made, so that the optimiser has the scores of
    method ``"score"``. The checkpoint holds the state of the callback, and the masks are in the
    state dict of the module, under the names of parametrizations.
    ``trainer.test(ckpt_path="best")`` works, and so does a second ``fit``; before such a checkpoint
    is loaded into a new module, call :func:`~pyg_stgcn.sparsity.sparsify` on that.
    ``callback.controller.finalize()`` folds the masks into the weights. A warning at the end
    says if the sparsity was not reached.

    The present sparsity is logged as ``"sparsity"``, that of edge weights as ``"edge_sparsity"``,
    after steps and epochs. Lightning's ``WeightAveraging`` and ``StochasticWeightAveraging`` may
    stand before or after this callback: they average the weights under the masks, and the average
    has the masks of the training.

    Args:
        sparsity (float): Final fraction of zeros over all masked weights, in [0, 1).
        schedule (str): Name of the schedule, see :func:`~pyg_stgcn.sparsity.make_schedule`.
        warmup (float): Fraction of the training before the sparsity starts to grow.
        ramp_end (float, optional): Fraction of the training at which a ramp reaches its target
            (default: half-way from the warm-up to the end).
        freeze_after (float, optional): Fraction of the training after which the masks no longer
            change.
        total_steps (int, optional): Number of batches of the training that end in optimiser steps
            (default: the estimate of the trainer, which loads the training data early). It must be
            given for a training without a known end, as with ``max_epochs=-1``.
        **options: Further options of :func:`~pyg_stgcn.sparsity.sparsify`, such as ``method``,
            ``include`` or ``update_every``.

    Raises:
        InputError: When the training starts, if an option is unknown or out of range, or the
            length of the training is not known; during the training, if weights become NaN.

    Example:
        >>> callback = SparsityCallback(0.9, method="magnitude")
        >>> pl.Trainer(max_epochs=10, callbacks=[callback]).fit(module, loader)
        >>> callback.controller.finalize()
    """

    def __init__(
        self,
        sparsity: float,
        *,
        schedule: str = "cubic",
        warmup: float = 0.0,
        ramp_end: float | None = None,
        freeze_after: float | None = None,
        total_steps: int | None = None,
        **options: Any,
    ) -> None:
        self.sparsity = sparsity
        self.schedule = schedule
        self.warmup = warmup
        self.ramp_end = ramp_end
        self.freeze_after = freeze_after
        self.total_steps = total_steps
        self.options = options
        self.controller: SparsityController | None = None
        self._saved: dict[str, Any] | None = None
        self._steps = 0
        self._length = 0
        self._logged: dict[str, Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or self.controller is not None:
            return
        total = self._length = self.total_steps or _estimate_length(trainer)
        schedule = make_schedule(
            self.schedule,
            self.sparsity,
            total,
            warmup=round(self.warmup * total),
            ramp_end=None if self.ramp_end is None else round(self.ramp_end * total),
        )
        frozen = None if self.freeze_after is None else round(self.freeze_after * total)
        self.controller = sparsify(
            pl_module, self.sparsity, schedule=schedule, freeze_after=frozen, **self.options
        )
        set_up_again(trainer, pl_module)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for average in averages_of(trainer):
            keep_masks_exact(average)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.controller is not None
        if self._saved is not None:
            self.controller.load_state_dict(self._saved)
            self._saved = None
        self._steps = trainer.global_step
        self._logged = _measure(self.controller)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        # With accumulated gradients not every batch ends in a step.
        if trainer.global_step == self._steps:
            return
        self._steps = trainer.global_step
        assert self.controller is not None
        if self.controller.step(*trainer.optimizers):
            self._logged = _measure(self.controller)
            for average in averages_of(trainer):
                copy_masks(pl_module, average.module)
        self._log(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.controller is not None
        self.controller.check_finite()
        self._log(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.controller is not None
        self._warn_of_ramp()
        for line in self.controller.sparsity_gaps():
            rank_zero_warn(line)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, KeyboardInterrupt) and trainer.state.fn == TrainerFn.FITTING:
            self._warn_of_ramp()

    def _warn_of_ramp(self) -> None:
        """Warn of a training that has ended before its masks have their final sparsity."""
        controller = self.controller
        if controller is None or controller.at_final_sparsity:
            return
        rank_zero_warn(
            f"the training ended at step {controller.num_steps} of {self._length}, before the end "
            f"of the ramp: sparsity {controller.sparsity:.4g} of {controller.target:g}; continue "
            "it from a checkpoint, or give SparsityCallback a smaller ramp_end or total_steps"
        )

    def _log(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.barebones:
            return
        for name, value in self._logged.items():
            pl_module.log(name, value)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.controller is None else self.controller.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = state_dict


def _estimate_length(trainer: pl.Trainer) -> int:
    """Number of batches of a training that end in optimiser steps."""
    total = trainer.estimated_stepping_batches
    if not 1 <= total < math.inf:
        raise InputError(
            "total_steps: the length of the training is not known, from which the ramp follows; "
            "give SparsityCallback(total_steps=...), or the trainer max_epochs or max_steps"
        )
    return int(total)


def _measure(controller: SparsityController) -> dict[str, Tensor]:
    """Present sparsities, as tensors: a GPU need not be waited for."""
    measured = {}
    for name, is_edge in (("sparsity", False), ("edge_sparsity", True)):
        masks = [entry.mask for entry in controller.masked if entry.is_edge is is_edge]
        if masks:
            kept = torch.stack([torch.count_nonzero(mask) for mask in masks]).sum()
            measured[name] = 1 - kept / sum(mask.numel() for mask in masks)
    return measured
