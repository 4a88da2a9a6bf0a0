"""Masks on a LightningModule that knows nothing of them."""

from __future__ import annotations

import csv
import math
import signal
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EMAWeightAveraging,
    StochasticWeightAveraging,
    WeightAveraging,
)
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn
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

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Let callbacks act in a validation too."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def fit(
    module: Plain,
    callback: SparsityCallback,
    folder: Path,
    ckpt_path: Path | None = None,
    further: Sequence[pl.Callback] = (),
    first: Sequence[pl.Callback] = (),
    **options: Any,
) -> pl.Trainer:
    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(
        torch.randn(SIZE, 10, generator=generator),
        torch.randint(5, (SIZE,), generator=generator),
    )
    loader = DataLoader(data, batch_size=8)
    trainer = pl.Trainer(
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        callbacks=[*first, callback, *further],
        **{"max_epochs": EPOCHS, "logger": False, "num_sanity_val_steps": 0, **options},
    )
    trainer.fit(module, loader, loader, ckpt_path=ckpt_path, weights_only=True)
    return trainer


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


class Recorded(pl.Callback):
    """Weights under the masks and sparsity of the masks, after every step."""

    def __init__(self) -> None:
        self.weights: list[list[Tensor]] = []
        self.sparsities: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
    ) -> None:
        entries = masked_parameters(pl_module)
        self.weights.append([entry.weight.detach().clone() for entry in entries])
        zeros = sum(int((~entry.mask).sum()) for entry in entries)
        self.sparsities.append(zeros / sum(entry.mask.numel() for entry in entries))


#: How to average, and whether the callback that does it stands before that of the masks.
AVERAGES: dict[str, tuple[Callable[[], pl.Callback], bool]] = {
    "mean": (WeightAveraging, False),
    "moving mean": (lambda: EMAWeightAveraging(decay=0.7), True),
    "of lists": (lambda: WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(0.7)), False),
    "mean of lists": (lambda: WeightAveraging(multi_avg_fn=get_swa_multi_avg_fn()), False),
    "seldom": (lambda: EMAWeightAveraging(decay=0.7, update_every_n_steps=5), False),
    "parameters": (lambda: WeightAveraging(use_buffers=False), True),
    "epochs": (lambda: StochasticWeightAveraging(0.1, swa_epoch_start=1), False),
    "epochs, first": (lambda: StochasticWeightAveraging(0.1, swa_epoch_start=1), True),
}


@pytest.mark.parametrize("average", AVERAGES)
def test_averaged_weights_have_the_masks_of_the_training(average: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, recorded = Plain(), Recorded()
    # The ramp ends with the training: a mask of an earlier step would keep more.
    callback = SparsityCallback(0.9, schedule="linear", ramp_end=1.0)
    make, stands_first = AVERAGES[average]
    first, last = ([make()], []) if stands_first else ([], [make()])
    fit(module, callback, tmp_path, first=first, further=[recorded, *last])
    assert callback.controller is not None
    assert callback.controller.sparsity == recorded.sparsities[-1] == round(0.9 * 359) / 360
    for number, entry in enumerate(callback.controller.masked):
        history = [weights[number] for weights in recorded.weights]
        mean = history[0]
        for step, weight in enumerate(history[1:], 1):
            if average in ("mean", "mean of lists", "parameters"):
                mean = mean + (weight - mean) / (step + 1)
            elif average == "seldom":
                mean = 0.7 * mean + 0.3 * weight if step % 5 == 0 else mean
            else:
                mean = 0.7 * mean + 0.3 * weight
        if not average.startswith("epochs"):
            torch.testing.assert_close(entry.weight, mean)
        assert not entry.weight.equal(history[-1])
    callback.controller.finalize()
    weights = [module.layers[0].weight, module.layers[2].weight]
    assert sum(int((weight == 0).sum()) for weight in weights) == round(0.9 * 359)


def test_a_training_that_ends_on_the_ramp_is_reported(tmp_path: Path) -> None:
    said = (
        r"ended at step 6 of 24, before the end of the ramp: sparsity 0\.4\d* of 0.9; continue "
        r"it from a checkpoint, or give SparsityCallback a smaller ramp_end or total_steps"
    )
    options: dict[str, Any] = {"schedule": "linear", "ramp_end": 0.5}
    with pytest.warns(UserWarning, match=said):
        fit(Plain(), SparsityCallback(0.9, total_steps=24, **options), tmp_path, max_steps=6)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*the ramp")
        # The trainer knows that the training has six steps.
        fit(Plain(), SparsityCallback(0.9, **options), tmp_path, max_steps=6)


def test_an_interrupted_training_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(Recorded):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            if trainer.global_step == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(signal, "signal", lambda *args: None)  # Lightning would ignore Ctrl-C.
    with (
        pytest.warns(UserWarning, match="ended at step 3 of 24, before the end of the ramp"),
        pytest.raises(SystemExit),
    ):
        fit(Plain(), SparsityCallback(0.9), tmp_path, further=[Interrupting()])


def test_a_training_without_a_known_end_needs_its_length(tmp_path: Path) -> None:
    class Stopping(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            trainer.should_stop = trainer.global_step == 12

    said = r"the length of the training is not known.*total_steps=\.\.\."
    with pytest.raises(InputError, match=said):
        fit(Plain(), SparsityCallback(0.9), tmp_path, max_epochs=-1)
    callback = SparsityCallback(0.9, total_steps=12)
    fit(Plain(), callback, tmp_path, max_epochs=-1, further=[Stopping()])
    assert callback.controller is not None
    assert callback.controller.num_steps == 12
    assert callback.controller.sparsity == pytest.approx(0.9, abs=0.01)


def test_the_sparsity_is_logged(tmp_path: Path) -> None:
    recorded = Recorded()
    callback = SparsityCallback(0.9, ramp_end=1.0)
    logger = pl.loggers.CSVLogger(tmp_path)
    options: dict[str, Any] = {"logger": logger, "log_every_n_steps": 4}
    trainer = fit(Plain(), callback, tmp_path, further=[recorded], **options)
    logged = float(trainer.logged_metrics["sparsity"])
    assert logged == pytest.approx(recorded.sparsities[-1])
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["sparsity"]]
    # Every fourth of 24 steps, and the last of each of the four epochs.
    assert {int(row["step"]) for row in rows} == {*range(3, 24, 4), *range(5, 24, 6)}
    for row in rows:
        assert float(row["sparsity"]) == pytest.approx(recorded.sparsities[int(row["step"])])


def test_two_optimisers_by_hand(tmp_path: Path) -> None:
    class ByHand(Plain):
        """Each layer has an optimiser of its own, and every second batch ends in a step."""

        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
            loss = super().training_step(batch, batch_idx)
            self.manual_backward(loss)
            if batch_idx % 2 == 1:
                for optimizer in self.optimizers():
                    optimizer.step()
                    optimizer.zero_grad()

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            layers = (self.layers[0], self.layers[2])
            return [torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9) for layer in layers]

    class Grown(pl.Callback):
        """Momentum of the weights that grow, by layer."""

        def __init__(self) -> None:
            self.momentum: list[list[float]] = [[], []]
            self.before: list[Tensor] | None = None

        def on_train_batch_end(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
        ) -> None:
            entries = masked_parameters(pl_module)
            for number, entry in enumerate(entries):
                if self.before is not None:
                    state = trainer.optimizers[number].state[entry.weight]
                    grown = entry.mask & ~self.before[number]
                    self.momentum[number] += state["momentum_buffer"][grown].tolist()
            if trainer.global_step:
                self.before = [entry.mask.clone() for entry in entries]

    torch.manual_seed(0)
    grown = Grown()
    callback = SparsityCallback(0.7, method="set", schedule="constant", total_steps=12)
    fit(ByHand(), callback, tmp_path, further=[grown])
    assert callback.controller is not None
    assert callback.controller.num_steps == 12
    for momentum in grown.momentum:
        assert momentum
        assert not any(momentum)


def test_weights_that_become_nan_end_the_training(tmp_path: Path) -> None:
    class Diverging(Plain):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=math.inf)

    with pytest.raises(InputError, match=r"not finite: layers\.0\.weight"):
        fit(Diverging(), SparsityCallback(0.9), tmp_path)


def test_wrong_options_are_refused_when_the_training_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="feedback, magnitude"):
        fit(Plain(), SparsityCallback(0.5, method="l0"), tmp_path)
    with pytest.raises(InputError, match=r"\[0, 1\)"):
        fit(Plain(), SparsityCallback(1.5), tmp_path)
