"""Masks for any LightningModule."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_warn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import SparsityController, make_schedule, sparsify


class SparsityCallback(Callback):
    """Sparsifies the module at the start of the training and updates the masks after every step.

    The module gets its masks before its optimiser is made, so that the optimiser has the scores of
    method ``"score"``. The checkpoint holds the state of the callback, and the masks are in the
    state dict of the module, under the names of parametrizations.
    ``trainer.test(ckpt_path="best")`` works, and so does a second ``fit``; before such a checkpoint
    is loaded into a new module, call :func:`~pyg_stgcn.sparsity.sparsify` on that.
    ``callback.controller.finalize()`` folds the masks into the weights. A warning at the end
    says if the sparsity was not reached.

    Args:
        sparsity (float): Final fraction of zeros over all masked weights, in [0, 1).
        schedule (str): Name of the schedule, see :func:`~pyg_stgcn.sparsity.make_schedule`.
        warmup (float): Fraction of the training before the sparsity starts to grow.
        ramp_end (float, optional): Fraction of the training at which a ramp reaches its target
            (default: half-way from the warm-up to the end).
        freeze_after (float, optional): Fraction of the training after which the masks no longer
            change.
        total_steps (int, optional): Optimiser steps of the training (default: the estimate of the
            trainer, which loads the training data early).
        **options: Further options of :func:`~pyg_stgcn.sparsity.sparsify`, such as ``method``,
            ``include`` or ``update_every``.

    Raises:
        InputError: When the training starts, if an option is unknown or out of range.

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

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit" or self.controller is not None:
            return
        total = self.total_steps or int(trainer.estimated_stepping_batches)
        if total < 1:
            raise InputError("total_steps: the length of the training is not known; give it")
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

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.controller is not None
        if self._saved is not None:
            self.controller.load_state_dict(self._saved)
            self._saved = None
        self._steps = trainer.global_step

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
        optimizer = trainer.optimizers[0] if trainer.optimizers else None
        assert optimizer is None or isinstance(optimizer, torch.optim.Optimizer)
        self.controller.step(optimizer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.controller is not None
        for line in self.controller.sparsity_gaps():
            rank_zero_warn(line)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.controller is None else self.controller.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = state_dict
