from __future__ import annotations

from pathlib import Path

import torch
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.models.cost import random_batch
from pyg_stgcn.runtime import load
from pyg_stgcn.training import Run


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_run_in_one_file(tiny_pickle: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "model.safetensors"
    size = ["--channels", 8, "--clip-frames", 12, "--epochs", 2, "--batch-size", 12]
    size += ["--eval-clips", 1, "--sparsity", 0.9, "--accelerator", "cpu"]
    result = call("train", "--dataset", tiny_pickle, "--root", tmp_path, *size, "--out", run)
    assert result.exit_code == 0, result.output
    result = call("export", run, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{out.stat().st_size:,} bytes" in result.output
    found, trained = load(out), Run.open(run)
    assert found.classes == ["head moves", "tail moves", "neck moves"]
    assert found.skeleton == trained.skeleton
    assert found.preprocessing["clip_frames"] == 12
    model = trained.load_model()
    batch = random_batch(model, 3, 2, 12)
    with torch.no_grad():
        torch.testing.assert_close(found.model(batch), model(batch), rtol=1e-4, atol=1e-5)


def test_wrong_usage(tmp_path: Path) -> None:
    result = call("export", tmp_path / "nothing", "--out", tmp_path / "model.safetensors")
    assert result.exit_code == 1 and "no such folder" in result.output
    assert call("export", tmp_path).exit_code == 2
