from __future__ import annotations

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from pyg_stgcn.sparsity import sparsify
from pyg_stgcn.training.recognizer import ActionRecognizer, TrainingDivergedError

CLASSES, CLIPS, CHANNELS = 3, 8, 4


class Model(nn.Module):
    """A backbone of one batch norm and a linear head, on clips of one joint and one frame."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(CHANNELS)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(CHANNELS, CLASSES)

    def forward(self, x: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        return self.head(self.dropout(self.norm(x.flatten(1))))


def samples() -> list[Data]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(CLIPS, 1, 1, CHANNELS, generator=generator)
    return [
        Data(x=clip, y=torch.tensor([number % CLASSES]), num_persons=1)
        for number, clip in enumerate(x)
    ]


def fit(recognizer: ActionRecognizer, *, batch_size: int = CLIPS, **options: Any) -> pl.Trainer:
    options = {"max_epochs": 1, "barebones": True, "accelerator": "cpu", **options}
    trainer = pl.Trainer(**options)
    trainer.fit(recognizer, DataLoader(samples(), batch_size=batch_size))
    return trainer


def smoothed_loss(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Weighted cross-entropy with smoothed labels, written out."""
    log_p = logits.log_softmax(-1)
    own = -(weights[labels] * log_p.gather(1, labels[:, None])[:, 0]).sum()
    spread = -(weights * log_p).sum() / CLASSES
    return ((1 - smoothing) * own + smoothing * spread) / weights[labels].sum()


def test_one_step_by_hand() -> None:
    model, weights = Model(), [0.5, 1.0, 2.0]
    x, y = torch.stack([clip.x for clip in samples()]), torch.cat([clip.y for clip in samples()])
    logits = model.head((x.flatten(1) - x.flatten(1).mean(0)) / x.flatten(1).std(0, correction=0))
    loss = smoothed_loss(logits, y, torch.tensor(weights), 0.1)
    gradient = torch.autograd.grad(loss, model.head.weight)[0]
    start = model.head.weight.detach().clone()
    recognizer = ActionRecognizer(
        model, CLASSES, lr=0.1, weight_decay=0.5, label_smoothing=0.1, class_weights=weights
    )
    fit(recognizer)
    expected = start - 0.1 * 1.9 * (gradient + 0.5 * start)  # Nesterov's momentum of 0.9.
    torch.testing.assert_close(model.head.weight.detach(), expected, rtol=1e-4, atol=1e-5)
    assert recognizer.take_epoch_metrics()["objective"] == pytest.approx(loss.item(), rel=1e-4)


def test_the_learning_rate_falls_along_a_cosine() -> None:
    rates: list[list[float]] = []

    class Rates(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *rest: Any) -> None:
            rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    model = Model()
    controller = sparsify(model, 0.5, method="score", include=("norm.*",), min_density=0.0)
    recognizer = ActionRecognizer(model, CLASSES, lr=0.2, score_lr=3.0, controller=controller)
    fit(
        recognizer,
        batch_size=2,
        max_epochs=2,
        barebones=False,
        callbacks=[Rates()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    factors = [0.5 + 0.5 * math.cos(math.pi * step / 8) for step in range(8)]
    assert rates == [pytest.approx([0.2 * factor, 3.0 * factor]) for factor in factors]


def test_a_frozen_backbone_trains_nothing_but_the_head() -> None:
    model = Model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(ActionRecognizer(model, CLASSES, lr=0.1, freeze_backbone=True))
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_what_is_random_in_a_step_depends_on_the_seed_and_the_step_alone() -> None:
    ends = []
    for used, seed in ((0, 1), (5, 1), (0, 2)):
        torch.manual_seed(0)
        model = Model(dropout=0.5)
        torch.rand(used)
        fit(ActionRecognizer(model, CLASSES, lr=0.1, seed=seed))
        ends.append(model.head.weight.detach())
    assert ends[0].equal(ends[1]) and not ends[0].equal(ends[2])


def test_losses_of_training_and_validation_are_means_over_the_same_clips() -> None:
    """Batches of five and three clips; the weights stay as they are."""
    model = Model().eval()
    x, y = torch.stack([clip.x for clip in samples()]), torch.cat([clip.y for clip in samples()])
    expected = nn.functional.cross_entropy(model(x, torch.arange(CLIPS), CLIPS), y).item()
    recognizer = ActionRecognizer(
        model,
        CLASSES,
        lr=1e-12,
        label_smoothing=0.3,
        class_weights=[0.5, 1.0, 2.0],
        freeze_backbone=True,
    )
    fit(recognizer, batch_size=5)
    for clips in (slice(0, 5), slice(5, None)):
        recognizer.validation_step(Batch.from_data_list(samples()[clips]), 0)
    found = recognizer.take_epoch_metrics()
    assert found["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert float(recognizer.val_loss.compute()) == pytest.approx(expected, rel=1e-5)
    assert found["objective"] != pytest.approx(expected, rel=1e-2)


def test_penalties_are_in_the_objective_and_not_in_the_loss() -> None:
    losses, weights = [], []
    for strength in (0.0, 5.0):
        torch.manual_seed(0)
        model = Model()

        def penalty(weight: Tensor = model.head.weight, strength: float = strength) -> Tensor:
            return strength * weight.sum()

        recognizer = ActionRecognizer(model, CLASSES, lr=0.1, penalties=[penalty])
        start = model.head.weight.sum().item()
        fit(recognizer)
        found = recognizer.take_epoch_metrics()
        losses.append(found["train_loss"])
        assert found["objective"] == pytest.approx(found["train_loss"] + strength * start, rel=1e-5)
        weights.append(model.head.weight.detach())
    assert losses[0] == losses[1]
    torch.testing.assert_close(weights[1], weights[0] - 0.1 * 1.9 * 5.0)


def test_accuracies_are_those_of_the_logits() -> None:
    model = Model().eval()
    recognizer = ActionRecognizer(model, CLASSES, lr=1e-9)
    x, y = torch.stack([clip.x for clip in samples()]), torch.cat([clip.y for clip in samples()])
    for clips in (slice(0, 4), slice(4, None)):
        recognizer.validation_step(Batch.from_data_list(samples()[clips]), 0)
    found = {name: float(value) for name, value in recognizer.val_metrics.compute().items()}
    logits = model(x, torch.arange(CLIPS), CLIPS)
    assert found["val_top1"] == pytest.approx(float((logits.argmax(-1) == y).float().mean()))
    assert found["val_top5"] == 1  # Of three classes.
    per_clip = -logits.log_softmax(-1).gather(1, y[:, None])
    assert float(recognizer.val_loss.compute()) == pytest.approx(per_clip.mean().item())


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    model = Model()
    nn.init.constant_(model.head.bias, math.inf)
    with pytest.raises(TrainingDivergedError, match=r"the loss is nan in epoch 1, batch 1 "):
        fit(ActionRecognizer(model, CLASSES))
