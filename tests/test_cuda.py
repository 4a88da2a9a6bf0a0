"""A GPU computes what the CPU does, and trains the same model twice."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pyg_stgcn.cli import main
from pyg_stgcn.evaluation.run_evaluation import evaluate_run
from pyg_stgcn.models import create_model, list_models, random_clips
from pyg_stgcn.sparsity import SparsityController, make_schedule, masked_parameters, sparsify

pytestmark = pytest.mark.cuda
STEPS = 4


def call(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def make(name: str, method: str | None) -> tuple[nn.Module, SparsityController | None]:
    model = create_model(name, 5, "hand21", base_channels=8, graph="spatial").double()
    if method is None:
        return model, None
    schedule = make_schedule("linear", 0.9, STEPS)
    return model, sparsify(
        model, 0.9, edge_sparsity=0.5, method=method, schedule=schedule, exclude="head.*"
    )


def step(model: Any, controller: SparsityController | None, number: int) -> Tensor:
    torch.manual_seed(number)
    logits: Tensor = model(*random_clips(model, 3, 2, 12))
    model.zero_grad()
    cross_entropy(logits, torch.arange(3, device=logits.device)).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.05 * parameter.grad
    if controller is not None:
        controller.step()
    return logits.detach()


# Not RigL: of many pruned weights the gradients are zero but for rounding, which it ranks.
@pytest.mark.parametrize("method", [None, "score", "feedback", "magnitude"])
@pytest.mark.parametrize("name", list_models())
def test_trains_as_on_the_cpu(name: str, method: str | None) -> None:
    here, controller = make(name, method)
    there, other = copy.deepcopy((here, controller))
    there.cuda()
    for number in range(STEPS):
        expected = step(here, controller, number)
        torch.testing.assert_close(step(there, other, number).cpu(), expected, rtol=0, atol=1e-6)
    for mine, its in zip(masked_parameters(here), masked_parameters(there), strict=True):
        assert its.mask.is_cuda and its.mask.cpu().equal(mine.mask)
    for mine, its in zip(here.state_dict().values(), there.state_dict().values(), strict=True):
        torch.testing.assert_close(its.cpu(), mine, rtol=0, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", list_models())
def test_no_synchronisation(name: str, training: bool) -> None:
    model = create_model(name, 5, "hand21", base_channels=8).cuda().train(training)
    given = random_clips(model, 3, 2, 12)
    model(*given).sum().backward()  # What the libraries set up once may wait.
    torch.cuda.set_sync_debug_mode("error")
    try:
        model(*given).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def words(tiny_pickle: Path, tmp_path: Path) -> list[object]:
    size = ["--channels", 8, "--clip-frames", 12, "--batch-size", 12, "--eval-views", 2]
    data = ["--dataset", tiny_pickle, "--root", tmp_path / "data", "--accelerator", "gpu"]
    return [*data, "--devices", 1, *size]


@pytest.mark.parametrize("name", list_models())
def test_same_seed_same_weights(words: list[object], tmp_path: Path, name: str) -> None:
    words = [*words, "--backbone", name, "--sparsity", 0.8, "--epochs", 3]
    for run in ("first", "second"):
        call("train", *words, "--out", tmp_path / run)
    weights = [load_file(tmp_path / run / "model.safetensors") for run in ("first", "second")]
    assert all(weights[0][key].equal(weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed", "64-true"])
def test_precisions(words: list[object], tmp_path: Path, precision: str) -> None:
    words = [*words, "--precision", precision, "--epochs", 30, "--sparsity", 0.8]
    call("train", *words, "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["top1"] > 0.8


def test_evaluated_as_on_the_cpu(words: list[object], tmp_path: Path) -> None:
    run = tmp_path / "run"
    call("train", *words, "--epochs", 3, "--sparsity", 0.8, "--out", run)
    scores = [evaluate_run(run, device=torch.device(device))["top1"] for device in ("cpu", "cuda")]
    assert scores[0] == scores[1]
    call("profile", run, "--device", "cuda")
    rows = json.loads(call("bench", run, "--device", "cuda", "--rounds", 2, "--json"))
    assert {row["backend"] for row in rows} >= {"eager", "torch-sparse", "runtime"}
    assert all(row["difference"] < 1e-3 and row["peak_bytes"] > 0 for row in rows)


def test_assembly_and_lottery(words: list[object], tmp_path: Path) -> None:
    levels = ["--levels", 0.5, 0.9, "--epochs", 2]
    call("train", *words, *levels, "--out", tmp_path / "assembly")
    assert "assembly" in json.loads((tmp_path / "assembly" / "summary.json").read_text())
    drawn = ["--rounds", 1, "--epochs", 2, "--rewind-epoch", 1, "--seeds", 0]
    call("lottery", *words, *drawn, "--out", tmp_path / "lottery")
    assert any((tmp_path / "lottery").rglob("*.png"))


def test_nothing_is_skipped_on_a_gpu(words: list[object], tmp_path: Path) -> None:
    words = [*words, "--sparsity", 0.8, "--method", "magnitude", "--skip-zeros", "--epochs", 1]
    result = CliRunner().invoke(
        main, [str(w) for w in ["train", *words, "--out", tmp_path / "run"]]
    )
    assert result.exit_code == 1 and "on a cuda device" in result.output
    assert not (tmp_path / "run").exists()
