"""One training run, from a configuration to a run directory."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, RichProgressBar
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.metrics import classification_metrics
from pyg_stgcn.evaluation.run_evaluation import predict
from pyg_stgcn.evaluation.subsets import assembly_summary, evaluate_subsets
from pyg_stgcn.models import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.plots.curves import plot_curves
from pyg_stgcn.runs.batches import clip_transform, make_loader, split_held_out
from pyg_stgcn.runs.checkpoint import AtomicCheckpointIO
from pyg_stgcn.runs.claim import claimed, prepare_folder
from pyg_stgcn.runs.class_weights import check_same_weights, class_weights
from pyg_stgcn.runs.folder import Run, software_versions, sparsity_summary
from pyg_stgcn.runs.opening import open_dataset
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.paths import with_absolute_paths
from pyg_stgcn.runs.resume import check_resumable, checkpoint_to_resume
from pyg_stgcn.runs.same_data import check_same_data, describe_clips
from pyg_stgcn.runtime.experimental import SparseTraining
from pyg_stgcn.signals import stop_on
from pyg_stgcn.sparsity import ControllerGroup, SparsityController
from pyg_stgcn.tables import write_json
from pyg_stgcn.training.callbacks import EpochLines, EpochTable
from pyg_stgcn.training.from_ticket import (
    WeightKeeper,
    check_same_ticket,
    check_ticket_options,
    start_ticket,
)
from pyg_stgcn.training.masking import make_penalties, mask_model
from pyg_stgcn.training.pretrained import load_pretrained
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.stopping import OwnSignals, end_launched
from pyg_stgcn.transforms import parse_streams

logger = logging.getLogger(__name__)

#: Largest norm of an assembly's gradient, as released; its loss is the sum of several.
ASSEMBLY_CLIP = 45.0


class ClipData(pl.LightningDataModule):
    """Training and validation clips, shared out among the processes.

    Args:
        train: Training clips.
        val: Validation clips.
        config: Complete, as :meth:`TrainOptions.with_recipe` leaves it.
    """

    def __init__(self, train: SkeletonDataset, val: SkeletonDataset, config: TrainOptions) -> None:
        super().__init__()
        self.train = train
        self.val = val
        self.config = config

    def _loader(self, dataset: SkeletonDataset, *, shuffle: bool) -> Any:
        assert self.trainer is not None and self.config.optim.batch_size is not None
        world_size = self.trainer.world_size
        return make_loader(
            dataset,
            self.config.optim.batch_size // world_size,
            self.config.optim.seed,
            shuffle=shuffle,
            balanced=shuffle and self.config.optim.balanced_sampler,
            num_workers=self.config.hardware.num_workers,
            rank=self.trainer.global_rank,
            world_size=world_size,
        )

    def train_dataloader(self) -> Any:
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> Any:
        return self._loader(self.val, shuffle=False)


def open_clips(config: TrainOptions) -> tuple[SkeletonDataset, SkeletonDataset, TrainOptions]:
    """Training and validation clips with their transforms, and the completed configuration."""
    config.check_model()
    config = with_absolute_paths(config)
    train = open_dataset(config, "train")
    config = config.with_recipe(len(train), train.benchmark)
    if config.data.hold_out:
        train, _ = split_held_out(train, config.data.hold_out)
    _check_classes(train, config)
    val = open_dataset(config, "val")
    train.transform = clip_transform(config, train, train=True, num_views=1)
    val.transform = clip_transform(config, val, train=False, num_views=1)
    return train, val, config


def _check_classes(clips: SkeletonDataset, config: TrainOptions) -> None:
    found = set(clips.labels.tolist())
    if len(found) < 2:
        names = ", ".join(repr(clips.classes[label]) for label in found)
        raise InputError(
            f"{config.data.dataset}: all {len(clips)} training clips are of one class ({names}); a "
            "classifier needs two classes or more, add clips of another one"
        )


def describe_run(
    folder: Path, train: SkeletonDataset, val: SkeletonDataset, config: TrainOptions
) -> Run:
    """A run that has not begun; data and configuration as :func:`open_clips` returns them."""
    in_channels = train.num_channels * len(parse_streams(config.data.stream))
    facts: dict[str, Any] = {
        "data": {
            "skeleton": train.skeleton.to_dict(),
            "classes": list(train.classes),
            "in_channels": in_channels,
            "has_score": train.has_score,
            "train_clips": len(train),
            "val_clips": len(val),
            "train": describe_clips(train),
            "val": describe_clips(val),
        },
        "versions": software_versions(),
    }
    if config.optim.class_weights is not None:
        facts["class_weights"] = class_weights(
            config.optim.class_weights, train.labels, train.classes
        )
    return Run(folder, config, train.skeleton, list(train.classes), in_channels, facts)


def _new_model(run: Run, *, resumed: bool) -> nn.Module:
    model = run.build_model()
    if run.config.sparsity.redraw:
        # The first draw of this seed is that of the dense run that the ticket was found in.
        model = run.build_model()
    if run.config.model.init is not None and not resumed:
        load_pretrained(model, run.config.model.init, run.classes)
    return model


def _put_masks(
    run: Run, model: nn.Module, trainer: pl.Trainer, steps_per_epoch: int, *, resume: bool
) -> SparsityController | ControllerGroup | None:
    """The masks that the configuration or its ticket asks for."""
    if run.config.sparsity.ticket is None:
        assert run.config.optim.epochs is not None
        return mask_model(model, run.config, steps_per_epoch * run.config.optim.epochs)
    if resume:
        check_same_ticket(run)
    return start_ticket(run, model, trainer, steps_per_epoch)


def _validation_interval(epochs: int) -> int:
    """About eight validations a run, the last of them after the last epoch."""
    return max(n for n in range(1, max(1, epochs // 8) + 1) if epochs % n == 0)


def _callbacks(run: Run, table: EpochTable) -> list[Callback]:
    epoch = run.config.sparsity.save_epoch
    keepers = [] if epoch is None else [WeightKeeper(run.early_weights(epoch), epoch)]
    progress = RichProgressBar() if sys.stderr.isatty() else EpochLines(table)
    last = ModelCheckpoint(
        run.checkpoints,
        filename=run.last_checkpoint.stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    best = ModelCheckpoint(
        run.checkpoints,
        filename=run.best_checkpoint.stem,
        monitor="selection",
        mode="max",
        enable_version_counter=False,
        save_weights_only=True,
        save_on_train_epoch_end=False,
    )
    return [OwnSignals(), table, progress, *keepers, best, last]


def _trainer(run: Run, table: EpochTable) -> pl.Trainer:
    config = run.config
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", r".*does not have many workers")
    warnings.filterwarnings("ignore", r".*exists and is not empty")
    warnings.filterwarnings("ignore", r".*LeafSpec")  # Lightning 2.6 on torch 2.13
    assert config.optim.epochs is not None and config.optim.batch_size is not None
    try:
        trainer = pl.Trainer(
            accelerator=config.hardware.accelerator,
            devices=int(config.hardware.devices)
            if config.hardware.devices.isdigit()
            else config.hardware.devices,
            num_nodes=config.hardware.num_nodes,
            strategy=config.hardware.strategy,
            precision=config.hardware.precision,  # type: ignore[arg-type]
            max_epochs=config.optim.epochs,
            check_val_every_n_epoch=_validation_interval(config.optim.epochs),
            callbacks=_callbacks(run, table),
            gradient_clip_val=ASSEMBLY_CLIP if config.model.levels else None,
            plugins=[AtomicCheckpointIO({run.last_checkpoint: run.previous_checkpoint})],
            default_root_dir=run.folder,
            deterministic="warn" if torch.cuda.is_available() else None,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            logger=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
        raise InputError(
            f"{error} (--accelerator {config.hardware.accelerator}, --devices "
            f"{config.hardware.devices}, "
            f"--strategy {config.hardware.strategy}, --precision {config.hardware.precision})"
        ) from None
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        # What they have trained would not come back to this process.
        raise InputError(
            f"--strategy {config.hardware.strategy}: trains in copies of this process, "
            "which is not "
            "supported; choose --strategy ddp"
        )
    if config.optim.batch_size % trainer.world_size:
        raise InputError(
            f"--batch-size {config.optim.batch_size}: cannot be shared equally by "
            f"{trainer.world_size} processes; choose a multiple of {trainer.world_size}"
        )
    return trainer


def _fold(
    run: Run, model: nn.Module, controller: SparsityController | ControllerGroup | None
) -> dict[str, int | float]:
    """Fold the masks of a trained model into its weights, and return what they have kept."""
    if controller is None:
        return sparsity_summary(model, run)
    controller.apply_pending_update()
    run.save_masks(model)
    # With the masks: kept weights may be zero too.
    counts = sparsity_summary(model, run)
    for line in controller.sparsity_gaps():
        logger.warning("%s", line)
    controller.finalize()
    return counts


def _finish(
    run: Run,
    model: nn.Module,
    counts: dict[str, int | float],
    table: EpochTable,
    device: torch.device,
) -> dict[str, Any]:
    config = run.config
    # Whatever it was trained in: from here on a run is what is in its file.
    model.float()
    # Before the weights are written: those of a model without answers are no result.
    judged = predict(run, model.eval(), num_views=run.config.optim.eval_views, device=device)
    sparse = bool(
        config.sparsity.sparsity
        or config.sparsity.edge_sparsity
        or config.sparsity.ticket
        or any(config.model.levels)
    )
    run.save_weights(model, sparse=sparse)
    validated = [row for row in table.rows if "val_top1" in row]
    result = {
        "dataset": run.config.data.dataset,
        "benchmark": run.config.data.benchmark,
        "model": run.config.architecture,
        "stream": run.config.data.stream,
        **classification_metrics(judged.probabilities, judged.labels),
        "views": run.config.optim.eval_views,
        "val_top1_last": validated[-1]["val_top1"],
        "val_top1_best": max(row["val_top1"] for row in validated),
        **counts,
        "epochs": run.config.optim.epochs,
        "seconds": round(sum(row["seconds"] for row in table.rows), 1),
        "seed": run.config.optim.seed,
    }
    if isinstance(model, Assembly):
        result["assembly"] = assembly_summary(run, model, run.load_masks(model))
        evaluate_subsets(run, model, num_views=run.config.optim.eval_views, device=device)
    write_json(run.summary, result)
    plot_curves(run.curves, {"": table.rows})
    return result


def _training_form(
    model: nn.Module,
    config: TrainOptions,
    controller: SparsityController | ControllerGroup | None,
    device: torch.device,
) -> nn.Module | None:
    if not config.sparsity.skip_zeros:
        return None
    # The model has not been moved or converted yet.
    if device.type != "cpu" or config.hardware.precision != "32-true":
        raise InputError(
            f"--skip-zeros: trains in float32 on the CPU, not in {config.hardware.precision} on a "
            f"{device.type} device; add --accelerator cpu --precision 32-true, or leave it out"
        )
    # Without zeros there is nothing to skip: in the dense runs of a sweep or of a lottery.
    if controller is None:
        return None
    try:
        return SparseTraining(cast(Backbone, model))
    except InputError as error:
        raise InputError(f"--skip-zeros: {error}") from None


def train(config: TrainOptions, folder: str | Path, *, resume: bool = False) -> dict[str, Any]:
    """Train, prune and judge one model; everything is left in ``folder``.

    Args:
        config: What to do.
        folder: The run directory; made, or empty, unless ``resume``.
        resume: Continue a run that was cut off. Its result is that of an undisturbed run.

    Returns:
        The content of ``summary.json``; an empty record in processes other than the first.

    Raises:
        InputError: Something in the configuration, the data or the folder is wrong.
        TrainingDivergedError: The loss is no longer a finite number.
    """
    clips, val, config = open_clips(config)
    assert config.optim.batch_size and config.optim.epochs and config.optim.lr
    assert config.optim.weight_decay is not None
    assert config.sparsity.score_lr is not None and config.sparsity.score_weight_decay is not None
    check_ticket_options(config)
    run = describe_run(Path(folder), clips, val, config)
    weights = run.facts.get("class_weights")
    if resume:
        check_same_data(run)
        check_same_weights(run)
    table = EpochTable(run.metrics)
    trainer = _trainer(run, table)
    pl.seed_everything(config.optim.seed, verbose=False)
    model = _new_model(run, resumed=resume and checkpoint_to_resume(run) is not None)
    sparsity_summary(model, run)  # Names that match nothing are found now, not in the end.
    steps_per_epoch = -(-len(clips) // config.optim.batch_size)
    controller = _put_masks(run, model, trainer, steps_per_epoch, resume=resume)
    penalties = make_penalties(controller, config)
    training_form = _training_form(model, config, controller, trainer.strategy.root_device)
    recognizer = ActionRecognizer(
        model,
        len(run.classes),
        lr=config.optim.lr,
        weight_decay=config.optim.weight_decay,
        score_lr=config.sparsity.score_lr,
        score_weight_decay=config.sparsity.score_weight_decay,
        label_smoothing=config.optim.label_smoothing,
        class_weights=None if weights is None else list(weights.values()),
        freeze_backbone=config.model.freeze_backbone,
        training_form=training_form,
        seed=config.optim.seed,
        controller=controller,
        penalties=penalties,
    )
    # The other processes start when the first has the folder.
    with claimed(run, resume=resume) if trainer.is_global_zero else contextlib.nullcontext():
        checkpoint = checkpoint_to_resume(run) if resume else None
        if checkpoint is not None:
            check_resumable(checkpoint, run, model)
        if trainer.is_global_zero:
            prepare_folder(run)  # After all checks: a refused resume leaves the run as it was.
        _fit(trainer, recognizer, ClipData(clips, val, config), checkpoint)
        if not trainer.is_global_zero:
            return {}
        counts = _fold(run, model, controller)
        return _finish(run, model, counts, table, trainer.strategy.root_device)


def _fit(
    trainer: pl.Trainer, recognizer: ActionRecognizer, data: ClipData, checkpoint: Path | None
) -> None:
    try:
        with stop_on("SIGTERM", "SIGHUP"):
            trainer.fit(recognizer, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except BaseException:
        end_launched(trainer)
        raise
