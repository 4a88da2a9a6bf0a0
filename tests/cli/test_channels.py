"""A run whose pruned channels are removed by export, bench and profile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.models import random_clips, shrink
from pyg_stgcn.runs.config_file import load_config, save_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(make_run: Callable[[Path, Any], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    size = {"channels": 64, "stages": 1, "inflate_stages": (), "down_stages": (), "clip_frames": 12}
    pruned = {"structure": "channel", "sparsity": 0.75, "method": "random"}
    options = TrainOptions.of(dataset="synthetic", **size, **pruned)
    folder = make_run(tmp_path_factory.mktemp("channels") / "run", options)
    options, metadata = load_config(folder / "config.toml")
    metadata["data"]["has_score"] = True
    save_config(folder / "config.toml", options, metadata)
    return folder


def test_an_exported_network_is_smaller_than_the_weights_with_zeros(
    run: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="needs pyg-stgcn[onnx]")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs pyg-stgcn[onnx]")
    out, model = tmp_path / "model.onnx", Run.open(run).load_model()
    result = call("export", run, "--format", "onnx", "--out", out)
    assert result.exit_code == 0, result.output
    assert "pruned channels are removed" in result.output
    assert out.stat().st_size < sum(value.nbytes for value in model.parameters()) / 2
    x, batch, _ = inputs = random_clips(model, 2, 2, 12)
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"x": x.numpy(), "batch": batch.numpy()})
    with torch.no_grad():
        expected = model(*inputs).softmax(1)
    torch.testing.assert_close(torch.from_numpy(logits).softmax(1), expected, rtol=1e-4, atol=1e-6)


def test_bench_times_the_shrunken_network(run: Path, tmp_path: Path) -> None:
    words = ["--backends", "shrunk", "--rounds", 1, "--persons", 1, "--out", tmp_path, "--json"]
    result = call("bench", run, *words)
    assert result.exit_code == 0, result.output
    assert [row["backend"] for row in json.loads(result.stdout)] == ["shrunk"]


def test_bench_of_a_run_without_pruned_channels(
    make_run: Callable[[Path, Any], Path], tmp_path: Path
) -> None:
    size = {"channels": 4, "stages": 1, "clip_frames": 12}
    options = TrainOptions.of(dataset="synthetic", **size, method="random", sparsity=0.5)
    run = make_run(tmp_path / "run", options)
    result = call("bench", run, "--backends", "shrunk")
    assert result.exit_code == 1 and "train with --structure channel" in result.output


def test_profile_prints_the_shrunken_network(run: Path) -> None:
    result = call("profile", run, "--frames", 12, "--persons", 1)
    assert result.exit_code == 0, result.output
    params = sum(value.numel() for value in shrink(Run.open(run).load_model()).parameters())
    row = next(line for line in result.stdout.splitlines() if "channels: parameters" in line)
    assert f" {params:,}" in row
