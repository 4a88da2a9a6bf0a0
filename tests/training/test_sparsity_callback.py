"""Masks on a LightningModule that knows nothing of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import METHODS, masked_parameters, score_parameters
from pyg_stgcn.training.sparsity_callback import SparsityCallback

SIZE, EPOCHS = 48, 4


class Plain(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 5))
        self.sparsities: list[float] = []

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        masks = [entry.mask for entry in masked_parameters(self)]
        zeros = sum(int((~mask).sum()) for mask in masks)
        self.sparsities.append(zeros / sum(mask.numel() for mask in masks))
        return nn.functional.cross_entropy(self.layers(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def fit(
    module: Plain,
    callback: SparsityCallback,
    folder: Path,
    ckpt_path: Path | None = None,
    further: Sequence[pl.Callback] = (),
    **options: Any,
) -> None:
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(
        torch.randn(SIZE, 10, generator=generator),
        torch.randint(5, (SIZE,), generator=generator),
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        callbacks=[callback, *further],
        max_epochs=EPOCHS,
        **options,
    )
    trainer.fit(module, DataLoader(data, batch_size=8), ckpt_path=ckpt_path, weights_only=True)


@pytest.mark.parametrize("method", METHODS)
def test_along_the_schedule_to_plain_weights(method: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Plain()
    callback = SparsityCallback(0.9, schedule="linear", ramp_end=0.5, method=method)
    fit(module, callback, tmp_path)
    assert callback.controller is not None
    callback.controller.finalize()
    steps = EPOCHS * SIZE // 8
    wanted = [0.9 * min(step / (steps / 2), 1) for step in range(steps)]
    assert module.sparsities == pytest.approx(wanted, abs=0.01)
    weights = [module.layers[0].weight, module.layers[2].weight]
    kept = sum(int(torch.count_nonzero(weight)) for weight in weights)
    # What grows in the last step of an exchange is still zero.
    assert kept == 37 or (method in ("rigl", "set") and 20 < kept < 37)
    assert set(module.state_dict()) == set(Plain().state_dict())


def test_scores_are_optimised(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Plain()
    fit(module, SparsityCallback(0.5, method="score"), tmp_path)
    assert module.trainer is not None
    trained = {id(p) for p in module.trainer.optimizers[0].param_groups[0]["params"]}
    assert len(score_parameters(module)) == 2
    assert {id(score) for score in score_parameters(module)} < trained


def test_checkpoints_and_a_second_fit_work_while_the_masks_are_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, callback = Plain(), SparsityCallback(0.9)
    fit(module, callback, tmp_path)
    assert module.trainer is not None
    module.trainer.save_checkpoint(tmp_path / "end.ckpt")
    ended = [entry.mask.clone() for entry in masked_parameters(module)]
    fit(module, callback, tmp_path)
    assert callback.controller is not None
    assert callback.controller.sparsity == pytest.approx(0.9, abs=0.01)
    state = torch.load(tmp_path / "end.ckpt", weights_only=True)["state_dict"]
    module.load_state_dict(state)
    for entry, mask in zip(masked_parameters(module), ended, strict=True):
        assert entry.mask.equal(mask)


def test_accumulated_gradients_are_one_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Plain()
    callback = SparsityCallback(0.8, schedule="linear", ramp_end=1.0)
    fit(module, callback, tmp_path, accumulate_grad_batches=3)
    assert callback.controller is not None
    assert callback.controller.num_steps == EPOCHS * SIZE // 8 // 3
    # Six batches an epoch, two steps, eight in all.
    wanted = [0.8 * (batch // 3) / 8 for batch in range(EPOCHS * SIZE // 8)]
    assert module.sparsities == pytest.approx(wanted, abs=0.01)


def test_resumed_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    class Saving(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    def make(seed: int) -> tuple[Plain, SparsityCallback]:
        torch.manual_seed(seed)
        return Plain(), SparsityCallback(0.9, ramp_end=0.8, method="score", total_steps=24)

    straight, resumed = make(0), make(5)
    fit(*straight, tmp_path / "a", further=[Saving()])
    fit(*resumed, tmp_path / "b", ckpt_path=tmp_path / "half.ckpt")
    assert resumed[0].sparsities == pytest.approx(straight[0].sparsities[12:])
    for name, value in straight[0].state_dict().items():
        assert resumed[0].state_dict()[name].equal(value), name


def test_a_sparsity_that_is_not_reached_is_reported_at_the_end(tmp_path: Path) -> None:
    # Of 24 and of 5 outputs one stays at least.
    said = r"sparsity 0.99 asked for, 0\.9056 reached: structure channel"
    with pytest.warns(UserWarning, match=said):
        fit(Plain(), SparsityCallback(0.99, structure="channel"), tmp_path)


def test_wrong_options_are_refused_when_the_training_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="feedback, magnitude"):
        fit(Plain(), SparsityCallback(0.5, method="l0"), tmp_path)
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        fit(Plain(), SparsityCallback(1.5), tmp_path)
