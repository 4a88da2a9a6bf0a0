"""The trainer of Lightning for a run."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.checkpoint import AtomicCheckpointIO
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.text import count
from pyg_stgcn.training.callbacks import EpochTable
from pyg_stgcn.training.from_ticket import WeightKeeper
from pyg_stgcn.training.measured_product import MeasuredProduct
from pyg_stgcn.training.reporting import TrainingReport
from pyg_stgcn.training.stopping import OwnSignals

#: Largest norm of an assembly's gradient, as released; its loss is the sum of several.
ASSEMBLY_CLIP = 45.0


def make_trainer(
    run: Run, table: EpochTable, environment: ClusterEnvironment | None = None
) -> pl.Trainer:
    """Trainer with the callbacks, the checkpoints and the hardware of a run.

    Args:
        run: About to be trained.
        table: Gets the metrics.
        environment: The processes of several machines (default: one machine).

    Raises:
        InputError: The machine does not have the hardware that the options name, or the processes
            cannot divide a batch equally.
    """
    config, hardware = run.config, run.config.hardware
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", r".*does not have many workers")
    warnings.filterwarnings("ignore", r".*exists and is not empty")
    warnings.filterwarnings("ignore", r".*LeafSpec")  # Lightning 2.6 on torch 2.13
    assert config.optim.epochs is not None and config.optim.batch_size is not None
    plugins: list[Any] = [AtomicCheckpointIO({run.last_checkpoint: run.previous_checkpoint})]
    plugins += [] if environment is None else [environment]
    try:
        trainer = pl.Trainer(
            accelerator=hardware.accelerator,
            devices=int(hardware.devices) if hardware.devices.isdigit() else hardware.devices,
            num_nodes=hardware.num_nodes,
            strategy=hardware.strategy,
            precision=hardware.precision,  # type: ignore[arg-type]
            max_epochs=config.optim.epochs,
            check_val_every_n_epoch=_validation_interval(config.optim.epochs),
            callbacks=_callbacks(run, table),
            gradient_clip_val=ASSEMBLY_CLIP if config.model.levels else None,
            plugins=plugins,
            default_root_dir=run.folder,
            deterministic="warn" if torch.cuda.is_available() else None,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
        raise InputError(
            f"{error} (accelerator {hardware.accelerator}, devices {hardware.devices}, "
            f"strategy {hardware.strategy}, precision {hardware.precision})"
        ) from None
    _check_processes(trainer, config)
    fewest = min(run.metadata["data"]["train_clips"], run.metadata["data"]["val_clips"])
    if fewest < trainer.world_size:
        raise InputError(
            f"devices {hardware.devices}: {trainer.world_size} processes cannot divide "
            f"{count(fewest, 'clip')}; choose fewer"
        )
    if environment is not None:
        try:
            environment.validate_settings(trainer.num_devices, trainer.num_nodes)
        except ValueError as error:
            raise InputError(f"num_nodes {hardware.num_nodes}: {error}") from None
    return trainer


def _check_processes(trainer: pl.Trainer, config: TrainOptions) -> None:
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        # The trained weights would not come back to this process.
        raise InputError(
            f"strategy {config.hardware.strategy}: trains in copies of this process, which is not "
            "supported; choose strategy='ddp'"
        )
    assert config.optim.batch_size is not None
    if config.optim.batch_size % trainer.world_size:
        raise InputError(
            f"batch_size {config.optim.batch_size}: cannot be divided equally by "
            f"{trainer.world_size} processes; choose a multiple of {trainer.world_size}"
        )


def _callbacks(run: Run, table: EpochTable) -> list[Callback]:
    epoch = run.config.sparsity.save_epoch
    keepers = [] if epoch is None else [WeightKeeper(run.early_weights(epoch), epoch)]
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
    measured = run.config.hardware.graph_product == "measured"
    first = [OwnSignals(), *([MeasuredProduct()] if measured else [])]
    return [*first, table, TrainingReport(run, table), *keepers, best, last]


def _validation_interval(epochs: int) -> int:
    """Epochs between validations: about eight in a run, the last after the last epoch."""
    return max(n for n in range(1, max(1, epochs // 8) + 1) if epochs % n == 0)
