"""The graph product of a training, chosen by measurement."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch_geometric.data import Batch

from pyg_stgcn.models import set_graph_product
from pyg_stgcn.profiling.product_times import measure_graph_product
from pyg_stgcn.progress import tell


class MeasuredProduct(Callback):
    """Times both graph products on the first batch, and trains with the faster one.

    All processes take the choice of the first, and the same rounding.
    """

    def __init__(self) -> None:
        self._chosen = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if self._chosen:
            return
        model: Any = pl_module.model
        x = batch.x.to(next(model.parameters()).dtype)
        with trainer.precision_plugin.forward_context():
            times = measure_graph_product(model, (x, batch.batch, batch.num_graphs))
        chosen = trainer.strategy.broadcast(min(times, key=times.__getitem__))
        set_graph_product(model, chosen)
        self._chosen = True
        if trainer.is_global_zero:
            words = ", ".join(f"{product} {time:.1f} ms" for product, time in times.items())
            tell(f"graph product: {chosen} ({words} for a step on the first batch)")
