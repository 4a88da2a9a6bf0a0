"""Lightning module of a backbone: loss, optimiser, learning rate, metrics, masks."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch_geometric.data import Batch
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from pyg_stgcn.errors import InputError
from pyg_stgcn.finite import first_not_finite
from pyg_stgcn.models import Assembly, Backbone
from pyg_stgcn.sparsity import (
    ControllerGroup,
    GroupLasso,
    SparsityController,
    score_parameters,
    weight_parameters,
)
from pyg_stgcn.training.batch_totals import BatchTotals, totals_over_processes
from pyg_stgcn.training.compiled_pass import CompiledPass, Pass
from pyg_stgcn.training.stream_window import StreamWindow

logger = logging.getLogger(__name__)


class TrainingDivergedError(InputError):
    """The loss or a weight is not finite."""


class ActionRecognizer(pl.LightningModule):
    """Trains a backbone, and its masks if it has any.

    The recorded losses of training and validation are both plain cross-entropies, means over the
    clips, so that they can be compared. Label smoothing, class weights, the classifiers of experts
    and penalties count in the recorded objective only, which is what the optimiser minimises.

    SGD with Nesterov momentum, a cosine from ``lr`` to zero over all steps, and cross-entropy: the
    recipe of PYSKL. Learned scores of masks have a parameter group of their own. By default it
    has no weight decay, which would pull all scores towards zero, and a higher learning rate: with
    that of the weights, most scores would hardly change.

    The loss of an assembly is the sum of the cross-entropies of the shared classifier and of all
    experts' classifiers; the metrics are those of the shared classifier.

    Args:
        model: Maps ``x``, ``batch`` and ``batch_size`` to logits ``[N, num_classes]``, see
            :meth:`~pyg_stgcn.models.Backbone.forward`.
        num_classes: Number of classes.
        lr: Learning rate at the start.
        weight_decay: Weight decay of all parameters but the scores.
        score_lr: Learning rate of the scores at the start.
        score_weight_decay: Weight decay of the scores.
        label_smoothing: Fraction of the training target that is spread over all classes.
        class_weights: Class weights in the training loss (default: equal), as ``weight`` of
            :func:`~torch.nn.functional.cross_entropy`.
        freeze_backbone: Whether to train only ``model.head``; the statistics of the batch norms
            are frozen too.
        training_model: A module with the same parameters that computes the training steps instead.
        window: Computes the logits of batches whose clips are windows of a stream, in training and
            validation.
        seed: Seed of random operations inside a step, such as dropout.
        controller: Controller of the masks; stepped after every optimiser step.
        penalties: Penalties to add to the training loss.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        *,
        lr: float = 0.1,
        weight_decay: float = 5e-4,
        score_lr: float = 1.0,
        score_weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        freeze_backbone: bool = False,
        training_model: nn.Module | None = None,
        window: StreamWindow | None = None,
        seed: int = 0,
        controller: SparsityController | ControllerGroup | None = None,
        penalties: Sequence[GroupLasso] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.lr = lr
        self.weight_decay = weight_decay
        self.score_lr = score_lr
        self.score_weight_decay = score_weight_decay
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", weights, persistent=False)
        self.freeze_backbone = freeze_backbone
        if freeze_backbone:
            model.requires_grad_(False)
            cast(nn.Module, model.head).requires_grad_(True)
        # Not parts of this module: their weights are those of the model.
        self._training_model = None if training_model is None else training_model.forward
        self._window = None if window is None else window.forward
        self._training_pass: Pass = self._training_logits
        self._validation_pass: Pass = self._validation_logits
        self.seed = seed
        self.controller = controller
        self.penalties = penalties
        top5 = MulticlassAccuracy(num_classes, top_k=min(5, num_classes), average="micro")
        top1 = MulticlassAccuracy(num_classes, average="micro")
        self.train_metrics = MetricCollection({"train_top1": top1})
        self.val_metrics = MetricCollection({"val_top1": top1.clone(), "val_top5": top5})
        # They get one value a clip, so that the last, small batch counts less: with this strategy,
        # torchmetrics ignores weights. Another one, which ignores NaN, would hide a model that
        # predicts NaN.
        self.objective = MeanMetric(nan_strategy="disable")
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_loss = MeanMetric(nan_strategy="disable")
        self._validated: dict[str, float] = {}

    @property
    def sparsity(self) -> float:
        """Current sparsity of the masked weights."""
        return 0.0 if self.controller is None else self.controller.sparsity

    def forward(self, batch: Batch) -> Tensor:
        return self.model(*_tensors(batch))

    def on_train_epoch_start(self) -> None:
        if self.freeze_backbone:
            self.model.eval()
            cast(nn.Module, self.model.head).train()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # A resumed run must draw the same numbers as an uninterrupted one.
        torch.manual_seed(hash((self.seed, self.global_step, self.global_rank)) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logits, auxiliary = self._training_pass(*_tensors(self._in_precision(batch)))
        totals = totals_over_processes(batch.y, self.class_weights, logits.dtype)
        loss = self._loss(logits, batch, totals)
        total = loss + sum(self._loss(part, batch, totals) for part in auxiliary)
        if not torch.isfinite(total):
            raise self._diverged(f"the loss is {total.item()}", batch_idx)
        total = total + sum(penalty() for penalty in self.penalties)
        of_clips = total.detach() if totals is None else total.detach() * totals.clips
        self.objective.update(of_clips.expand(len(batch.y)))
        self.train_loss.update(cross_entropy(logits.detach(), batch.y, reduction="none"))
        self.train_metrics.update(logits.detach(), batch.y)
        return total

    def _diverged(self, what: str, batch_idx: int) -> TrainingDivergedError:
        return TrainingDivergedError(
            f"training diverged: {what} in epoch {self.current_epoch + 1}, batch {batch_idx + 1} "
            f"(learning rate {self.lr}); lower the learning rate, and check the "
            f"data with 'pyg-stgcn datasets "
            "info'"
        )

    def compile_passes(self, clips: int, persons: int | None = None) -> None:
        """Compiles the forward passes of training and validation, and the backward passes.

        Args:
            clips: Clips of a full batch of this process.
            persons: Persons of every clip, if they are padded to the same number.

        Raises:
            InputError: See :class:`~pyg_stgcn.training.compiled_pass.CompiledPass`.
        """
        torch.compiler.reset()  # Graphs of an earlier training count towards the limit of torch.
        model = cast(Backbone | Assembly, self.model)
        self._training_pass = CompiledPass(self._training_logits, model, clips, persons)
        self._validation_pass = CompiledPass(self._validation_logits, model, clips, persons)

    def _training_logits(
        self, x: Tensor, batch: Tensor, batch_size: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits of the prediction, and further logits for the training loss."""
        if self._window is not None:
            return self._window(x, batch, batch_size)
        if isinstance(self.model, Assembly):
            return self.model.forward_all(x, batch, batch_size)
        if self._training_model is not None:
            return self._training_model(x, batch, batch_size), []
        return self.model(x, batch, batch_size), []

    def _validation_logits(
        self, x: Tensor, batch: Tensor, batch_size: int
    ) -> tuple[Tensor, list[Tensor]]:
        if self._window is not None:
            return self._window(x, batch, batch_size)
        return self.model(x, batch, batch_size), []

    def _in_precision(self, batch: Batch) -> Batch:
        # Lightning converts the model and tensors, but knows no PyG batches.
        batch.x = batch.x.to(next(self.model.parameters()).dtype)
        return batch

    def _loss(self, logits: Tensor, batch: Batch, totals: BatchTotals | None = None) -> Tensor:
        options: dict[str, Any] = {"weight": self.class_weights}
        options["label_smoothing"] = self.label_smoothing
        if totals is None:
            return cross_entropy(logits, batch.y, **options)
        return cross_entropy(logits, batch.y, reduction="sum", **options) / totals.weight

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        try:
            if self.controller is not None:
                self.controller.step(*self.trainer.optimizers)
        except InputError:  # Masks cannot be chosen among NaN.
            self._check_weights(batch_idx)
            raise
        # The last weights of an epoch are validated and saved, and no further loss would show NaN.
        if self.trainer.is_last_batch:
            self._check_weights(batch_idx)

    def _check_weights(self, batch_idx: int) -> None:
        if found := first_not_finite(self.model.state_dict()):
            raise self._diverged(f"{found} after the step", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits, _ = self._validation_pass(*_tensors(self._in_precision(batch)))
        self.val_loss.update(cross_entropy(logits, batch.y, reduction="none"))
        self.val_metrics.update(logits, batch.y)

    def on_validation_epoch_end(self) -> None:
        values = {"val_loss": self.val_loss.compute(), **self.val_metrics.compute()}
        self.val_loss.reset()
        self.val_metrics.reset()
        self._validated = {name: float(value) for name, value in values.items()}
        finite = math.isfinite(self._validated["val_loss"])
        if not finite:
            logger.warning(
                "epoch %d: the loss of the validation clips is %s; lower the learning rate",
                self.current_epoch + 1,
                self._validated["val_loss"],
            )
        # The best checkpoint must have the final sparsity and finite predictions.
        arrived = self.controller is None or self.controller.at_final_sparsity
        selection = self._validated["val_top1"] if arrived and finite else -1.0
        self.log("selection", selection, logger=False, sync_dist=True)

    def take_epoch_metrics(self) -> dict[str, float]:
        """Metrics of the current epoch, over all processes; of the validation if there was one."""
        losses = {"objective": self.objective, "train_loss": self.train_loss}
        values = {name: loss.compute() for name, loss in losses.items()}
        values |= self.train_metrics.compute()
        for loss in losses.values():
            loss.reset()
        self.train_metrics.reset()
        metrics = {name: float(value) for name, value in values.items()} | self._validated
        self._validated = {}
        return metrics

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        trained = [weight for weight in weight_parameters(self.model) if weight.requires_grad]
        groups: list[dict[str, Any]] = [{"params": trained, "weight_decay": self.weight_decay}]
        if scores := score_parameters(self.model):
            groups.append(
                {"params": scores, "weight_decay": self.score_weight_decay, "lr": self.score_lr}
            )
        optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=0.9, nesterov=True)
        total_steps = max(1, int(self.trainer.estimated_stepping_batches))
        first = self.trainer.global_step

        def cosine(step: int) -> float:
            return 0.5 * (1 + math.cos(math.pi * min((first + step) / total_steps, 1)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.controller is not None:
            checkpoint["sparsity_controller"] = self.controller.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.controller is not None:
            self.controller.load_state_dict(checkpoint["sparsity_controller"])


def _tensors(batch: Batch) -> tuple[Tensor, Tensor, int]:
    """The arguments of a model."""
    return batch.x, batch.batch, batch.num_graphs
