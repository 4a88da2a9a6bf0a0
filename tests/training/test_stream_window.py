"""Trainings on windows of a stream, against the network on a long sequence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pyg_stgcn import create_model
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.sparsity import load_sparse
from pyg_stgcn.training.runner import train
from pyg_stgcn.training.stream_window import StreamWindow


def test_features_of_the_window_are_those_in_a_long_sequence() -> None:
    experts = [
        create_model("stgcn", 4, "coco17", base_channels=4, num_stages=3, down_stages=[2]),
        create_model("stgcnpp", 4, "coco17", base_channels=4, num_stages=2, down_stages=[1]),
    ]
    model = Assembly(experts).double().eval()
    window = StreamWindow(model)
    # Three stages of kernels over nine frames, the last one at half the frame rate.
    assert window.context == 18
    frames, far = 7, 40
    long = torch.randn(3 * 17, far + frames + far, 3, dtype=torch.double)
    batch = torch.tensor([0, 0, 1]).repeat_interleave(17)
    logits, auxiliary = window(long[:, far - 18 : far + frames + 18], batch, 2)
    pooled = []
    for expert in experts:
        maps = expert.forward_features(long, batch, 2)[:, far // 2 : far // 2 + 4].mean(dim=(1, 2))
        pooled.append(torch.stack([(maps[0] + maps[1]) / 2, maps[2]]))
    torch.testing.assert_close(logits, model.head((pooled[0] + pooled[1]) / 2))
    for expert, own, features in zip(experts, auxiliary, pooled, strict=True):
        torch.testing.assert_close(own, expert.head(features))


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path_factory.mktemp("windows") / "data"),
        channels=4,
        stages=2,
        clip_frames=8,
        epochs=2,
        batch_size=18,
        eval_views=1,
        accelerator="cpu",
    )


def test_a_sparse_clip_network_is_tuned_on_windows(config: TrainOptions, tmp_path: Path) -> None:
    config = config.replace(sparsity=0.8, structure="block8")
    train(config, tmp_path / "clips")
    tuned = config.replace(init=str(tmp_path / "clips"), context="stream", schedule="constant")
    summary = train(tuned, tmp_path / "stream")
    assert summary["sparsity"] == pytest.approx(0.8, abs=0.03)
    masks, _ = load_sparse(tmp_path / "stream/masks.safetensors")
    weights = load_file(tmp_path / "stream/model.safetensors")
    assert not any(weights[name][~mask].any() for name, mask in masks.items())
    assert Run.open(tmp_path / "stream").config.data.context == "stream"


def test_a_resumed_run_is_that_without_interruption(
    config: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.replace(context="stream", augment={"crop": 0.7})
    whole = train(config, tmp_path / "whole")
    monkeypatch.setattr("pyg_stgcn.training.runner.fold_masks", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut")
    monkeypatch.undo()
    shutil.copy(*(tmp_path / f"cut/checkpoints/{name}.ckpt" for name in ("previous", "last")))
    again = train(config, tmp_path / "cut", resume=True)
    assert again["val_top1_last"] == whole["val_top1_last"]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut")]
    assert all(value.equal(weights[1][name]) for name, value in weights[0].items())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_networks_that_see_the_whole_clip_are_refused(config: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^context 'stream': the graphs of CTRGCN depend on all fr"
    ):
        train(config.replace(backbone="ctrgcn", context="stream"), tmp_path / "run")
    with pytest.raises(InputError, match=r"^skip_zeros: computes whole clips only"):
        config.replace(skip_zeros=True, context="stream")
