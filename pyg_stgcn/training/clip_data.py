"""Training and validation clips for Lightning."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.runs.batches import make_loader
from pyg_stgcn.runs.options import TrainOptions


class ClipData(pl.LightningDataModule):
    """Loaders of training and validation clips; the processes divide the clips.

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
