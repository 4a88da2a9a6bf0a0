"""One training run, from options to a run directory."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import set_graph_product
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import synchronize_norms
from pyg_stgcn.runs.claim import check_folder, claimed, prepare_folder
from pyg_stgcn.runs.class_weights import check_same_weights
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.new_run import describe_run, open_clips
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.resume import check_resumable, checkpoint_to_resume
from pyg_stgcn.runs.run_files import resume_command
from pyg_stgcn.runs.run_sparsity import sparsity_summary
from pyg_stgcn.runs.same_data import check_same_data
from pyg_stgcn.runtime.experimental import SparseTraining
from pyg_stgcn.signals import Stopped, stop_on
from pyg_stgcn.sparsity import ControllerGroup, SparsityController
from pyg_stgcn.training.agreement import describe
from pyg_stgcn.training.callbacks import EpochTable
from pyg_stgcn.training.clip_data import ClipData
from pyg_stgcn.training.from_ticket import (
    check_same_ticket,
    start_ticket,
)
from pyg_stgcn.training.machines import Machines, joined_machines
from pyg_stgcn.training.masking import make_penalties, mask_model
from pyg_stgcn.training.outcome import finish_run, fold_masks
from pyg_stgcn.training.pretrained import load_pretrained
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.reporting import tell_overview
from pyg_stgcn.training.stopping import end_launched, lost_process, say_goodbye
from pyg_stgcn.training.stream_window import StreamWindow, stream_window
from pyg_stgcn.training.trainer import make_trainer

logger = logging.getLogger(__name__)


def _new_model(run: Run, *, resumed: bool) -> nn.Module:
    model = run.build_model()
    if run.config.sparsity.redraw:
        # The first draw of this seed is that of the dense run that the ticket was found in.
        model = run.build_model()
    if run.config.model.init is not None and not resumed:
        load_pretrained(model, run.config.model.init, run.classes)
    product = run.config.hardware.graph_product
    # Before the measurement: it needs the sparse product.
    set_graph_product(model, "sparse" if product == "measured" else product)
    return model


def _put_masks(
    run: Run, model: nn.Module, trainer: pl.Trainer, steps_per_epoch: int, *, resume: bool
) -> SparsityController | ControllerGroup | None:
    """Put masks on a model as the options or their ticket say."""
    if run.config.sparsity.ticket is None:
        assert run.config.optim.epochs is not None
        return mask_model(model, run.config, steps_per_epoch * run.config.optim.epochs)
    if resume:
        check_same_ticket(run)
    return start_ticket(run, model, trainer, steps_per_epoch)


def _training_model(
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
            f"skip_zeros: trains in float32 on the CPU, not in {config.hardware.precision} on a "
            f"{device.type} device; choose accelerator='cpu' and "
            "precision='32-true', or leave it out"
        )
    # The dense runs of a sweep or a lottery have no zeros.
    if controller is None:
        return None
    try:
        return SparseTraining(cast(Backbone, model))
    except InputError as error:
        raise InputError(f"skip_zeros: {error}") from None


def train(config: TrainOptions, folder: str | Path, *, resume: bool = False) -> dict[str, Any]:
    """Train, prune and evaluate one model; all results are written to ``folder``.

    Args:
        config: The options.
        folder: The run directory; new or empty, unless ``resume``.
        resume: Whether to continue an interrupted run. The result is the same as without the
            interruption.

    Returns:
        The content of the summary; empty in all processes but the first.

    Raises:
        InputError: The options, the data or the folder cannot be used.
        TrainingDivergedError: The loss or a weight is not finite.

    Example:
        >>> options = TrainOptions.of(dataset="mine.pkl", sparsity=0.95)
        >>> train(options, "runs/sparse")["top1"]
        0.93
    """
    check_folder(config, Path(folder), resume=resume)
    with joined_machines(config.hardware.num_nodes) as machines:
        return _train(config, Path(folder), machines, resume=resume)


def _train(
    config: TrainOptions, folder: Path, machines: Machines | None, *, resume: bool
) -> dict[str, Any]:
    clips, val, config = open_clips(config)
    assert config.optim.batch_size is not None
    run = describe_run(folder, clips, val, config)
    if resume:
        check_same_data(run)
        check_same_weights(run)
    table = EpochTable(run.metrics)
    trainer = make_trainer(run, table, None if machines is None else machines.environment)
    checkpoint = checkpoint_to_resume(run) if resume else None
    if machines is not None:
        name = None if checkpoint is None else checkpoint.name
        plan = machines.meet(describe(run, resume=resume, checkpoint=name))
        # The first process reads it for all.
        checkpoint = plan["checkpoint"] and run.checkpoints / plan["checkpoint"]
    pl.seed_everything(config.optim.seed, verbose=False)
    model = _new_model(run, resumed=checkpoint is not None)
    # Before the masks: finds names that match nothing before the training.
    counts = sparsity_summary(model, run)
    tell_overview(run, counts, trainer.strategy.root_device)
    steps_per_epoch = -(-len(clips) // config.optim.batch_size)
    controller = _put_masks(run, model, trainer, steps_per_epoch, resume=resume)
    training_model = _training_model(model, config, controller, trainer.strategy.root_device)
    if config.hardware.precision == "64-true":
        # Lightning converts the model after it has loaded a checkpoint, whose digits would be lost.
        model.double()
    window = stream_window(model, clips, val, config)
    if config.optim.sync_batchnorm and trainer.world_size > 1:
        synchronize_norms(model)
    recognizer = _recognizer(run, model, controller, training_model, window)
    if config.hardware.compile:
        full = min(config.optim.batch_size, len(clips)) // trainer.world_size
        recognizer.compile_passes(max(full, 1), config.data.pad_persons)
    # The first process locks the folder for all.
    with claimed(run, resume=resume) if trainer.is_global_zero else contextlib.nullcontext():
        if checkpoint is not None and trainer.is_global_zero:
            check_resumable(checkpoint, run, model)
        if trainer.is_global_zero:
            prepare_folder(run)  # After all checks: a refused resume leaves the run as it was.
        _fit(trainer, recognizer, ClipData(clips, val, config), checkpoint, run, machines)
        if not trainer.is_global_zero:
            return {}
        counts = fold_masks(run, model, controller)
        return finish_run(run, model, counts, table, trainer.strategy.root_device, window)


def _recognizer(
    run: Run,
    model: nn.Module,
    controller: SparsityController | ControllerGroup | None,
    training_model: nn.Module | None,
    window: StreamWindow | None,
) -> ActionRecognizer:
    config, weights = run.config, run.metadata.get("class_weights")
    assert config.optim.lr is not None and config.optim.weight_decay is not None
    assert config.sparsity.score_lr is not None and config.sparsity.score_weight_decay is not None
    return ActionRecognizer(
        model,
        len(run.classes),
        lr=config.optim.lr,
        weight_decay=config.optim.weight_decay,
        score_lr=config.sparsity.score_lr,
        score_weight_decay=config.sparsity.score_weight_decay,
        label_smoothing=config.optim.label_smoothing,
        class_weights=None if weights is None else list(weights.values()),
        freeze_backbone=config.model.freeze_backbone,
        training_model=training_model,
        window=window,
        seed=config.optim.seed,
        controller=controller,
        penalties=make_penalties(controller, config),
    )


def _fit(
    trainer: pl.Trainer,
    recognizer: ActionRecognizer,
    data: ClipData,
    checkpoint: Path | None,
    run: Run,
    machines: Machines | None,
) -> None:
    remedy = f"go on with {resume_command(run.folder, run.config.hardware.num_nodes)}"
    if machines is not None:
        machines.heartbeat.remedy = remedy
        machines.heartbeat.kill_processes = partial(end_launched, trainer)
    try:
        with stop_on("SIGTERM", "SIGHUP"):
            trainer.fit(recognizer, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            say_goodbye()
    except BaseException as error:
        end_launched(trainer)
        if isinstance(error, Stopped):
            error.remedy = remedy
        if (lost := lost_process(error, machines, remedy)) is not None:
            raise lost from error
        raise
