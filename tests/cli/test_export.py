from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from pyg_stgcn.cli import main
from pyg_stgcn.models import random_clips
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.program_file import read_program
from pyg_stgcn.recognition import Recognizer
from pyg_stgcn.recognition.model_file import ArrayModule
from pyg_stgcn.runs.config_file import load_config, save_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.skeletons import Skeleton

REPOSITORY = Path(__file__).parents[2]


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    size = ["--channels", 8, "--clip-frames", 12, "--epochs", 2, "--batch-size", 12]
    size += ["--eval-views", 1, "--sparsity", 0.9, "--accelerator", "cpu"]
    words = ["--dataset", tiny_pickle, "--root", folder, "--out", folder / "run"]
    result = call("train", *words, *size)
    assert result.exit_code == 0, result.output
    return folder / "run"


def test_a_run_in_one_file(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    result = call("export", run, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{out.stat().st_size:,} bytes" in result.output
    found, trained = Recognizer.load(out), Run.open(run)
    assert found.classes == ["head moves", "tail moves", "neck moves"]
    assert found.skeleton == trained.skeleton
    assert found.about["preprocessing"]["clip_frames"] == 12
    model = trained.load_model()
    batch = random_clips(model, 3, 2, 12)
    with torch.no_grad():
        torch.testing.assert_close(found.model.module(*batch), model(*batch), rtol=1e-4, atol=1e-5)


@pytest.fixture
def three_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only the stages that change the channels in all runs; exporters are slow."""
    load_model = Run.load_model

    def load(run: Run) -> nn.Module:
        model = load_model(run)
        assert isinstance(model, Backbone)
        model.stages = nn.ModuleList([model.stages[0], model.stages[4], model.stages[7]])
        return model

    monkeypatch.setattr(Run, "load_model", load)


@pytest.mark.usefixtures("three_stages")
@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_run_for_other_runtimes(run: Path, tmp_path: Path, kind: str) -> None:
    out, trained = tmp_path / f"model.{kind}", Run.open(run)
    x, batch, _ = random_clips(trained.load_model(), 2, 2, 12)
    about = {"pyg_stgcn": ""}
    if kind == "onnx":
        pytest.importorskip("onnxscript", reason="needs pyg-stgcn[onnx]")
        onnxruntime = pytest.importorskip("onnxruntime", reason="needs pyg-stgcn[onnx]")
    result = call("export", run, "--format", kind, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{out.stat().st_size:,} bytes" in result.output
    if kind == "onnx":
        assert b"stack_trace" not in out.read_bytes()  # They would hold paths of this machine.
        session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        (found,) = session.run(None, {"x": x.numpy(), "batch": batch.numpy()})
        logits = torch.from_numpy(found)
    else:
        with zipfile.ZipFile(out) as archive:
            assert not any(b"stack_trace" in archive.read(name) for name in archive.namelist())
        with torch.no_grad():
            logits = torch.export.load(out, extra_files=about).module()(x, batch)
    with torch.no_grad():
        expected = trained.load_model()(x, batch)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    description = json.loads(about["pyg_stgcn"])
    assert description["classes"] == trained.classes
    assert Skeleton.from_dict(description["skeleton"]) == trained.skeleton
    assert description["preprocessing"]["clip_frames"] == 12
    assert str(tmp_path / "pyg_stgcn_prepare.py") in result.output
    if kind == "onnx":
        check_example(trained, description, tmp_path)


def check_example(trained: Run, about: dict[str, Any], folder: Path) -> None:
    """The example gives the answers of the model, in a process without torch."""
    example = Path(__file__).parents[2] / "examples/onnx_without_torch.py"
    assert len(example.read_text().splitlines()) < 40
    clip = np.random.default_rng(0).normal(size=(2, 37, 5, 3)).astype(np.float32)
    np.save(folder / "clip.npy", clip)
    np.save(folder / "nobody.npy", 0 * clip)
    code = (
        "import runpy, sys; sys.modules['torch'] = None\n"
        "for sys.argv in (['', 'model.onnx', 'clip.npy'], ['', 'model.onnx', 'nobody.npy']):\n"
        f"    runpy.run_path({str(example)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    found, nobody = done.stdout.splitlines()
    expected = Recognizer(ArrayModule(trained.load_model()), about).predict(clip, num_views=10)
    label, probability = found.rsplit(maxsplit=1)
    assert label == expected.label and nobody == "nobody 0.0"
    assert float(probability) == pytest.approx(expected.probability, abs=1e-5)


def test_half_is_for_sparse_files(run: Path, tmp_path: Path) -> None:
    result = call("export", run, "--format", "pt2", "--half", "--out", tmp_path / "model.pt2")
    assert result.exit_code == 2 and "--half is for sparse files" in result.output


def test_runs_that_say_too_little(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run, old)
    options, metadata = load_config(old / "config.toml")
    del metadata["data"]["has_score"]
    save_config(old / "config.toml", options, metadata)
    result = call("export", old, "--out", tmp_path / "model.safetensors")
    assert result.exit_code == 1 and "train the run again" in result.output


def test_wrong_usage(tmp_path: Path) -> None:
    result = call("export", tmp_path / "nothing", "--out", tmp_path / "model.safetensors")
    assert result.exit_code == 1 and "no such folder" in result.output
    (tmp_path / "config.toml").touch()
    assert call("export", tmp_path).exit_code == 2


def test_a_run_with_its_engine(run: Path, tmp_path: Path) -> None:
    """The folder is complete, replaces an earlier one, and nothing else."""
    if not (REPOSITORY / "pyg_stgcn/engine/src/api.cpp").exists():
        pytest.skip("the sources of the engine are not complete")
    out = tmp_path / "engine"
    for _ in range(2):
        result = call("export", run, "--format", "engine", "--out", out)
        assert result.exit_code == 0, result.output
        (out / "build").mkdir(exist_ok=True)
    assert {entry.name for entry in tmp_path.iterdir()} == {"engine"}
    _, metadata = read_program(out / "model.stgcn")
    trained = Run.open(run)
    assert metadata["about"]["classes"] == trained.classes
    assert metadata["temperature"] == trained.temperature
    for name in ("CMakeLists.txt", "example.c", "include/stgcn.h", "kernels/kernels.inc", "build"):
        assert (out / name).exists()
    (out / "notes.txt").touch()
    result = call("export", run, "--format", "engine", "--out", out)
    assert result.exit_code == 1 and "notes.txt" in result.output
    result = call("export", run, "--format", "engine", "--half", "--out", tmp_path / "other")
    assert result.exit_code == 2 and not (tmp_path / "other").exists()
