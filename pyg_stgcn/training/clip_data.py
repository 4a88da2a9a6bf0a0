"""Training and validation clips for Lightning."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.runs.batches import batch_transform, make_loader
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
        self._train_transform = batch_transform(config, train)
        self._val_transform = batch_transform(config, val)

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
            transform=self._train_transform if shuffle else self._val_transform,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Transform the clips of a batch, if the loader has not done so."""
        assert self.trainer is not None
        transform = self._train_transform if self.trainer.training else self._val_transform
        return batch if transform is None else transform(batch)

    def train_dataloader(self) -> Any:
        return self._loader(self.train, shuffle=True)

    def val_dataloader(self) -> Any:
        return self._loader(self.val, shuffle=False)
