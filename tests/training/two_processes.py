"""Takes a few steps with batch-norm statistics frozen, in as many processes as asked for.

Usage: two_processes.py DEVICES FILE; the first process saves the weights before and after.
"""

from __future__ import annotations

import sys

import pytorch_lightning as pl
import torch
from torch import nn
from torch_geometric.data import Data

from pyg_stgcn.models import create_model
from pyg_stgcn.runs.batches import make_loader
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.sparsity import sparsify
from pyg_stgcn.training.recognizer import ActionRecognizer

BATCH_SIZE = 8


class Clips(torch.utils.data.Dataset[Data]):
    """Sixteen random clips of one or two persons."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, number: int) -> Data:
        generator = torch.Generator().manual_seed(number)
        persons = 1 + number % 2
        x = torch.randn(persons * 25, 8, 3, generator=generator, dtype=torch.double)
        return Data(x=x, y=torch.tensor([number % 4]), num_persons=persons)


class Module(pl.LightningDataModule):
    def train_dataloader(self):
        trainer = self.trainer
        return make_loader(
            Clips(),
            BATCH_SIZE // trainer.world_size,
            seed=0,
            shuffle=True,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )


class FrozenStatistics(ActionRecognizer):
    def on_train_batch_start(self, batch, batch_idx) -> None:
        super().on_train_batch_start(batch, batch_idx)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def main(devices: int, path: str) -> None:
    pl.seed_everything(0)
    model = create_model("stgcn", 4, get_skeleton("ntu25"), base_channels=4, graph="random")
    controller = sparsify(
        model.double(), 0.5, method="score", edge_sparsity=0.5, exclude=("head.*",)
    )
    start = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision="64-true",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    recognizer = FrozenStatistics(model, 4, lr=0.05, controller=controller)
    trainer.fit(recognizer, datamodule=Module())
    if trainer.is_global_zero:
        content = {"start": start, "end": model.state_dict(), "world_size": trainer.world_size}
        torch.save(content, path)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
