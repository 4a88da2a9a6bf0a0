from __future__ import annotations

import csv
import json
import os
import pickle
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.inspection import inspect_run
from pyg_stgcn.evaluation.run_evaluation import evaluate_run
from pyg_stgcn.models import list_models
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runtime import kernels
from pyg_stgcn.runtime.experimental.sparse_training import _StagePlan
from pyg_stgcn.runtime.native import why_not
from pyg_stgcn.sparsity import load_sparse, report
from pyg_stgcn.sparsity.threshold import num_pruned
from pyg_stgcn.training.recognizer import TrainingDivergedError
from pyg_stgcn.training.runner import train


@pytest.fixture
def config(tiny_pickle: Path, tmp_path: Path) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path / "data"),
        channels=4,
        clip_frames=16,
        epochs=4,
        batch_size=12,
        eval_views=2,
        accelerator="cpu",
    )


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        del row["seconds"]
    return rows


@pytest.mark.parametrize("method", ["rigl", "set", "random"])
def test_methods_that_are_sparse_from_the_start(
    config: TrainOptions, tmp_path: Path, method: str
) -> None:
    config = config.replace(sparsity=0.8, method=method, mask_update_every=2, epochs=2)
    summary = train(config, tmp_path / "run")
    options, _ = load_config(tmp_path / "run/config.toml")
    assert options.sparsity.schedule == "constant"
    assert options.sparsity.freeze_after == (None if method == "random" else 0.75)
    assert [float(row["sparsity"]) for row in table(tmp_path / "run")] == pytest.approx(
        [0.8, 0.8], abs=1e-3
    )
    # What has grown where no gradient arrives is still zero, and kept nevertheless.
    numel = summary["params_maskable"]
    assert summary["maskable_kept"] == numel - num_pruned(0.8, numel)
    masks, _ = load_sparse(tmp_path / "run" / "masks.safetensors")
    assert sum(int(mask.sum()) for mask in masks.values()) == summary["maskable_kept"]
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert not any(weights[name][~mask].any() for name, mask in masks.items())
    assert inspect_run(tmp_path / "run").totals["maskable_kept"] == summary["maskable_kept"]


@pytest.mark.parametrize(
    "options",
    [
        {"method": "released"},
        {"method": "score", "structure": "block8"},
        {"method": "magnitude", "structure": "2:4", "sparsity": 0.5},
        {"method": "score", "penalty": 1e-3, "penalty_groups": "layer"},
        {"include": "stages.*.gcn.*", "edge_sparsity": 0.0},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_ways_to_mask(config: TrainOptions, tmp_path: Path, options: dict[str, Any]) -> None:
    config = config.replace(**{"sparsity": 0.8, "epochs": 2} | options)
    summary = train(config, tmp_path / "run")
    slack = 2 / summary["params_maskable"] if config.sparsity.structure == "unstructured" else 0.05
    assert summary["sparsity"] == pytest.approx(config.sparsity.sparsity, abs=slack)
    total = summary["params_total"]
    pruned = summary["params_maskable"] - summary["maskable_kept"]
    assert summary["params_kept_fraction"] == pytest.approx((total - pruned) / total)
    # The weights on disk are what the summary says.
    run = Run.open(tmp_path / "run")
    layers = report(run.load_model(), **run.config.maskable)
    assert sum(layer.kept for layer in layers) == summary["maskable_kept"]
    if config.sparsity.include:
        assert all(".gcn." in layer.name for layer in layers)


def test_a_sparsity_that_is_missed_is_said_in_the_end(
    config: TrainOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config.replace(sparsity=0.97, epochs=1)
    train(config, tmp_path / "exact")
    assert "asked for" not in caplog.text
    summary = train(config.replace(structure="channel"), tmp_path / "rough")
    assert summary["sparsity"] < 0.965
    assert (
        f"sparsity 0.97 asked for, {summary['sparsity']:.4g} reached: structure channel"
        in caplog.text
    )


@pytest.mark.parametrize("options", [{"include": "typo.*"}, {"exclude": "haed.*"}])
def test_names_that_match_nothing_are_found_before_the_training(
    config: TrainOptions, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="matches no parameter"):
        train(config.replace(**options), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_dropout_acts_in_training_only(config: TrainOptions, tmp_path: Path) -> None:
    train(config.replace(dropout=0.5, epochs=1), tmp_path / "run")
    model = Run.open(tmp_path / "run").load_model()
    assert model.head.dropout.p == 0.5
    features = torch.randn(64, model.num_features)
    assert model.head(features).equal(model.head(features))
    model.head.train()
    assert not model.head(features).equal(model.head(features))


def test_a_penalty_needs_something_to_prune_and_time(config: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a sparsity"):
        train(config.replace(penalty=0.1), tmp_path / "a")
    with pytest.raises(InputError, match="choose schedule='cubic'"):
        train(config.replace(penalty=0.1, sparsity=0.5, method="random"), tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("method", ["random", "rigl"])
def test_skipping_zeros_changes_nothing(
    config: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    if kernels() is None:
        pytest.skip(why_not())
    steps = []
    run = _StagePlan.run
    monkeypatch.setattr(_StagePlan, "run", lambda *words: steps.append(1) or run(*words))
    monkeypatch.setattr("pyg_stgcn.runtime.experimental.sparse_training.DENSE_FROM", 1.0)
    config = config.replace(sparsity=0.8, method=method, epochs=2)
    train(config, tmp_path / "dense")
    assert not steps
    train(config.replace(skip_zeros=True), tmp_path / "sparse")
    assert steps
    weights = [Run.open(tmp_path / name).load_model().state_dict() for name in ("dense", "sparse")]
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "options", [{"method": "score"}, {"backbone": "aagcn", "graph": "spatial"}]
)
def test_zeros_that_cannot_be_skipped(
    config: TrainOptions, tmp_path: Path, options: dict[str, Any]
) -> None:
    config = config.replace(**{"sparsity": 0.8, "method": "random", "skip_zeros": True, **options})
    with pytest.raises(InputError, match=r"^skip_zeros: .*train the model itself"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_run_directory(config: TrainOptions, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    config = config.replace(sparsity=0.8)
    summary = train(config, folder)
    assert summary == json.loads((folder / "summary.json").read_text())
    maskable, kept = summary["params_maskable"], summary["maskable_kept"]
    assert abs(kept - 0.2 * maskable) <= 1
    assert summary["sparsity"] == pytest.approx(1 - kept / maskable)
    assert (summary["epochs"], summary["seed"]) == (4, 0)
    rows = table(folder)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["sparsity"]) == pytest.approx(0.8, abs=1 / maskable)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "checkpoints" / "best.ckpt").exists()
    options, metadata = load_config(folder / "config.toml")
    assert options.data.benchmark == "xsub"
    assert metadata["versions"]["torch"] == torch.__version__
    dense = load_file(folder / "model.safetensors")
    sparse, _ = load_sparse(folder / "model.sparse.safetensors")
    assert dense.keys() == sparse.keys()
    assert all(torch.equal(dense[name], sparse[name]) for name in dense)
    again = evaluate_run(folder, num_views=2)
    assert {name: again[name] for name in ("top1", "top5", "mean_class")} == {
        name: summary[name] for name in ("top1", "top5", "mean_class")
    }
    assert sum(1 for _ in (folder / "confusion.csv").open()) == 1 + 3


def test_learns(config: TrainOptions, tmp_path: Path) -> None:
    summary = train(config.replace(epochs=15, batch_size=6, channels=8, lr=0.03), tmp_path / "run")
    assert summary["top1"] > 0.9
    assert summary["params_kept"] == summary["params_total"]


def test_same_seed_same_result(config: TrainOptions, tmp_path: Path) -> None:
    config = config.replace(epochs=2, sparsity=0.5)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(config.replace(seed=seed), tmp_path / name)
    a, b, c = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)
    assert table(tmp_path / "a") == table(tmp_path / "b")


def command_line(config: TrainOptions, folder: Path, *more: str) -> list[str]:
    options: dict[str, Any] = {
        "dataset": config.data.dataset,
        "root": config.data.root,
        "channels": config.model.channels,
        "clip-frames": config.data.clip_frames,
        "epochs": config.optim.epochs,
        "batch-size": config.optim.batch_size,
        "eval-views": config.optim.eval_views,
        "accelerator": config.hardware.accelerator,
        "sparsity": config.sparsity.sparsity,
        "edge-sparsity": config.sparsity.edge_sparsity,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    words += [f"--augment={name}={value}" for name, value in config.data.augment.items()]
    start = [sys.executable, "-m", "pyg_stgcn.cli", "train"]
    return [*start, *words, "--out", str(folder), *more]


@pytest.mark.timeout(1800)
def test_killed_and_resumed(
    config: TrainOptions, tmp_path: Path, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    augment = {"crop": 0.8, "speed": 0.2, "noise": 0.01, "joint-dropout": 0.1, "frame-loss": 0.1}
    config = config.replace(epochs=12, sparsity=0.8, edge_sparsity=0.5, augment=augment)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    train(config, undisturbed)
    process = subprocess.Popen(command_line(config, killed), stderr=subprocess.DEVNULL)
    metrics = killed / "metrics.csv"
    wait_for(lambda: (metrics.exists() and len(table(killed)) >= 3) or process.poll() is not None)
    # The fourth epoch has begun; it takes many times longer than this wait.
    time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 3 <= len(table(killed)) < config.optim.epochs and not (killed / "summary.json").exists()
    train(Run.open(killed).config, killed, resume=True)
    assert table(killed) == table(undisturbed)
    expected, found = (load_file(run / "model.safetensors") for run in (undisturbed, killed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.timeout(1800)
def test_two_processes_divide_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, str(script), "2", str(tmp_path / "2.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # Lightning sets it; it is taken back at the end.
    runpy.run_path(str(script))["main"](1, str(tmp_path / "1.pt"))
    one, two = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2))
    assert one["world_size"] == 1 and two["world_size"] == 2
    start, end, shared = one["start"], one["end"], two["end"]
    assert end.keys() == shared.keys()
    for name in end:
        torch.testing.assert_close(shared[name], end[name], rtol=1e-9, atol=1e-11)
    assert any(not torch.equal(start[name], end[name]) for name in end)


def test_divergence_is_reported(config: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match=r"epoch \d+.*lower the learning rate"):
        train(config.replace(lr=1000.0, weight_decay=10.0), tmp_path / "run")


def test_one_class_is_not_enough(config: TrainOptions, tmp_path: Path) -> None:
    content = pickle.loads(Path(config.data.dataset).read_bytes())
    for annotation in content["annotations"]:
        annotation["label"] = 0 if annotation["frame_dir"] < "clip36" else 1
    data = tmp_path / "two.pkl"
    data.write_bytes(pickle.dumps(content))
    message = r"two\.pkl: all 36 training clips are of one class \('head moves'\); .* two classes"
    with pytest.raises(InputError, match=message):
        train(config.replace(dataset=str(data)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", list_models())
def test_single_poses_with_one_clip_left_for_the_last_batch(
    config: TrainOptions, tmp_path: Path, model: str
) -> None:
    # Of 36 clips 35 are one batch; every third clip shows a second person.
    config = config.replace(backbone=model, clip_frames=1, batch_size=35, epochs=2, eval_views=1)
    summary = train(config, tmp_path / "run")
    assert [row["step"] for row in table(tmp_path / "run")] == ["2", "4"]
    weights = load_file(tmp_path / "run/model.safetensors")
    assert all(weight.isfinite().all() for weight in weights.values())
    assert 0 <= summary["top1"] <= 1


def test_a_folder_in_use_is_refused(config: TrainOptions, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "thesis.tex").write_text("do not overwrite")
    # Before the data are opened, which may take long.
    with pytest.raises(InputError, match="--resume"):
        train(config.replace(dataset="missing.pkl"), folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_unfinished_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no config\.toml"):
        Run.open(tmp_path)
    (tmp_path / "config.toml").write_text("[data]\ndataset = 'x'\ncolour = 1\n")
    with pytest.raises(InputError, match="unknown options colour"):
        Run.open(tmp_path)


def test_batch_must_be_shared_equally(config: TrainOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="multiple of 2"):
        train(config.replace(devices="2", strategy="ddp", batch_size=5), tmp_path / "run")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"strategy": "ddp_spawn", "devices": "2"},
            "^strategy ddp_spawn: .* choose strategy='ddp'$",
        ),
        ({"precision": "transformer-engine"}, "precision transformer-engine"),
    ],
)
def test_what_cannot_train_is_refused_before_the_folder_is_made(
    config: TrainOptions, tmp_path: Path, option: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(config.replace(**option), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_precision(config: TrainOptions, tmp_path: Path) -> None:
    # With seed 0 an activation lies so close to zero that rounding decides on its gradient.
    config = config.replace(epochs=1, seed=1)
    train(config, tmp_path / "single")
    single = load_file(tmp_path / "single/model.safetensors")
    for precision, close in (("64-true", 1e-4), ("bf16-mixed", 0.02)):
        folder = tmp_path / precision
        train(config.replace(precision=precision), folder)
        other = load_file(folder / "model.safetensors")
        for name, weight in single.items():
            # Of the same type, too.
            torch.testing.assert_close(other[name], weight, rtol=0, atol=close)
        evaluate_run(folder, num_views=1)


@pytest.mark.parametrize("sparsity", [0.8, 0.0])  # the dense run of a lottery, too
def test_skipping_zeros_wants_single_precision(
    config: TrainOptions, tmp_path: Path, sparsity: float
) -> None:
    config = config.replace(sparsity=sparsity, method="magnitude", skip_zeros=True)
    with pytest.raises(InputError, match="not in 64-true on a cpu device; choose acc"):
        train(config.replace(precision="64-true"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
