from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_stgcn.cli import main
from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.batches import BalancedSampler, EpochSampler, SeededClips
from pyg_stgcn.runs.class_weights import class_weights
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.runner import train

NAMES = ["walk", "fall, then rise", "wave"]


@pytest.fixture
def config(tiny_pickle: Path, tmp_path: Path) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path / "data"),
        channels=4,
        clip_frames=8,
        epochs=2,
        batch_size=12,
        eval_views=1,
        accelerator="cpu",
    )


def test_balanced_weights_are_inverse_to_the_numbers_of_clips() -> None:
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    weights = class_weights("balanced", labels, NAMES)
    assert weights == pytest.approx(dict(zip(NAMES, [10 / 18, 10 / 9, 10 / 3], strict=True)))
    # One on average over the clips, and as much for each class in all.
    assert np.mean([weights[NAMES[label]] for label in labels]) == pytest.approx(1)


def test_a_class_without_clips_has_no_weight() -> None:
    weights = class_weights("balanced", np.repeat([0, 2], [6, 2]), NAMES)
    assert list(weights.values()) == pytest.approx([8 / 12, 0, 8 / 4])


@pytest.mark.parametrize("header", ["", "class,weight\n", "\ufeffclass,weight\n"])
def test_weights_of_a_file_in_any_order(tmp_path: Path, header: str) -> None:
    path = tmp_path / "weights.csv"
    path.write_text(f'{header}wave,3\n\n"fall, then rise",0.5\r\nwalk,1\n', encoding="utf-8")
    weights = class_weights(str(path), np.zeros(1, int), NAMES)
    assert list(weights.items()) == list(zip(NAMES, [1.0, 0.5, 3.0], strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("walk,1\nwave,1\n", "no weight for 'fall, then rise'"),
        ("walk,1\nrun,1\n", "the dataset has no class 'run'"),
        ("walk,1\nwalk,2\n", "the class 'walk' has two weights"),
        ("walk\n", "line 'walk' is not a class and its weight"),
        ("walk,1,2\n", "is not a class and its weight"),
        ("walk,heavy\n", "the weight 'heavy' of class 'walk' is not a number in"),
        *(
            (f"walk,{value}\n", "is not a number in")
            for value in ("0", "1e-50", "1e39", "-1", "nan", "inf", "")
        ),
        ("", "no weight for 'walk'"),
        ("a" * 200_000, "field larger"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "weights.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"class_weights {path}: .*{message}.*'class,weight'"):
        class_weights(str(path), np.zeros(1, int), NAMES)
    with pytest.raises(InputError, match=r"nowhere\.csv: there is no such file; give"):
        class_weights("nowhere.csv", np.zeros(1, int), NAMES)


class Logits(nn.Module):
    """Gives the logits that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor, batch: torch.Tensor, batch_size: int) -> torch.Tensor:
        return self.head(x)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_weighted_mean(smoothing: float) -> None:
    weights = [0.5, 1.0, 4.0]
    recognizer = ActionRecognizer(Logits(), 3, label_smoothing=smoothing, class_weights=weights)
    batch = Batch.from_data_list(
        [Data(x=torch.randn(1, 3), y=torch.tensor([label])) for label in (0, 0, 1, 2)]
    )
    logs = batch.x.double().log_softmax(1)
    w = torch.tensor(weights, dtype=torch.double)
    hard = -sum(w[y] * row[y] for row, y in zip(logs, batch.y, strict=True)) / w[batch.y].sum()
    spread = -(logs * w).sum() / w[batch.y].sum() / 3
    expected = (1 - smoothing) * hard + smoothing * spread
    loss = recognizer._loss(recognizer(batch), batch)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    assert not [name for name in recognizer.state_dict() if "class_weights" in name]


def test_classes_come_equally_often() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    sampler = BalancedSampler(labels, seed=0)
    assert len(sampler) == len(list(sampler)) == 1000
    drawn = []
    for epoch in range(30):
        sampler.set_epoch(epoch)
        drawn += [labels[clip] for _, clip, _ in sampler]
    frequencies = np.bincount(drawn) / len(drawn)
    # Five standard deviations of 30,000 draws.
    assert np.abs(frequencies - 1 / 3).max() < 5 * np.sqrt(2 / 9 / 30_000)


@pytest.mark.parametrize("num_clips", [10, 11])
def test_draws_depend_on_seed_and_epoch_alone_and_are_divided(num_clips: int) -> None:
    labels = np.arange(num_clips) % 3

    def keys(seed: int = 3, epoch: int = 4, **place: int) -> list[tuple[int, ...]]:
        sampler = BalancedSampler(labels, seed, **place)
        sampler.set_epoch(epoch)
        torch.rand(1)
        found = list(sampler)
        assert len(found) == len(sampler)
        return found

    whole = keys()
    assert whole == keys()
    assert whole != keys(seed=2)
    assert [key[1:] for key in whole] != [key[1:] for key in keys(epoch=5)]
    even, odd = keys(rank=0, world_size=2), keys(rank=1, world_size=2)
    together = [key for pair in zip(even, odd, strict=True) for key in pair]
    assert together[:num_clips] == whole
    assert together[num_clips:] == whole[: num_clips % 2]


def test_a_clip_drawn_twice_is_augmented_in_two_ways() -> None:
    class Random(list[int]):
        def __getitem__(self, number: int) -> torch.Tensor:
            return torch.rand(3)

    clips = SeededClips(Random([0, 1]), seed=0)
    assert torch.equal(clips[0, 1, 5], clips[0, 1, 5])
    assert not torch.equal(clips[0, 1, 5], clips[0, 1, 6])
    plain = next(iter(EpochSampler(2, 0, shuffle=True)))
    assert len(plain) == 2


@pytest.mark.parametrize("options", [{"class_weights": "FILE"}, {"balanced_sampler": True}])
def test_a_resumed_run_ends_as_the_undisturbed_one(
    config: TrainOptions, tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("head moves,1\ntail moves,2\nneck moves,3\n")
    if "class_weights" in options:
        options = {"class_weights": str(path)}
    config = config.replace(**options)
    train(config, tmp_path / "whole")
    stopped = tmp_path / "cut"

    class StopError(Exception):
        pass

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopError):
        start = ActionRecognizer.on_train_batch_start

        def stop(self: ActionRecognizer, batch: Batch, batch_idx: int) -> None:
            if self.current_epoch == 1:
                raise StopError
            start(self, batch, batch_idx)

        patch.setattr(ActionRecognizer, "on_train_batch_start", stop)
        train(config, stopped)
    train(config, stopped, resume=True)
    expected, found = (
        load_file(run / "model.safetensors") for run in (tmp_path / "whole", stopped)
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    train(config.replace(class_weights=None, balanced_sampler=False), tmp_path / "plain")
    plain = load_file(tmp_path / "plain" / "model.safetensors")
    assert not all(torch.equal(plain[name], expected[name]) for name in expected)


def test_weights_are_recorded_and_may_not_change_on_the_way(
    config: TrainOptions, tmp_path: Path
) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("head moves,1\ntail moves,2\nneck moves,3\n")
    config = config.replace(class_weights=str(path), epochs=1)
    train(config, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.config.optim.class_weights == str(path)
    assert run.metadata["class_weights"] == {"head moves": 1, "tail moves": 2, "neck moves": 3}
    path.write_text("head moves,1\ntail moves,2\nneck moves,4\n")
    (run.folder / "summary.json").unlink()
    with pytest.raises(InputError, match=r"weights\.csv: differ from the weights that the run"):
        train(config, tmp_path / "run", resume=True)


def test_one_of_the_two_is_enough(config: TrainOptions) -> None:
    with pytest.raises(InputError, match="draws all classes equally often already"):
        config.replace(class_weights="balanced", balanced_sampler=True)


def test_mistakes_leave_no_folder_behind(config: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        train(config.replace(class_weights="balance"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line_and_a_sweep_take_them(config: TrainOptions, tmp_path: Path) -> None:
    words = ["sweep", "--dataset", config.data.dataset, "--root", config.data.root, "--channels", 4]
    words += ["--clip-frames", 8, "--epochs", 1, "--eval-views", 1, "--accelerator", "cpu"]
    words += ["--batch-size", 12, "--sparsities", "0", "--seeds", "0", "--out", tmp_path / "sweep"]
    words += ["--class-weights", "balanced", "--json"]
    for _ in range(2):  # The second finds the run that is there.
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
    options = load_config(tmp_path / "sweep/dense-seed0/config.toml")[0].flat()
    assert options["class_weights"] == "balanced"
