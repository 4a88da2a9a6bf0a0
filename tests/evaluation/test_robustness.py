from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.robustness import SEED, evaluate_robustness
from pyg_stgcn.evaluation.run_evaluation import evaluate_model, evaluate_run, open_validation
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.runner import train
from pyg_stgcn.transforms import (
    MODES,
    SEVERITIES,
    Interpolate,
    PreNormalize3D,
    TemporalCorruption,
    ToStream,
    UniformSample,
)

ACCURACIES = ("top1", "top5", "mean_class")


@pytest.fixture(scope="module", params=["joint", "bone-motion"])
def run(
    request: pytest.FixtureRequest, tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("robustness")
    config = TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(folder / "data"),
        stream=request.param,
        channels=4,
        clip_frames=16,
        epochs=4,
        batch_size=6,
        lr=0.03,
        eval_views=2,
        augment={"frame-loss": 0.25, "noise": 0.01},
        accelerator="cpu",
    )
    train(config, folder / "run")
    return folder / "run"


def test_all_corruptions(run: Path) -> None:
    kept = ("evaluation.json", "predictions.npz", "confusion.csv", "confusion.png")
    intact = evaluate_run(run, num_views=2)
    before = {name: (run / name).read_bytes() for name in kept}
    result = evaluate_robustness(run, num_views=2)
    assert {name: (run / name).read_bytes() for name in kept} == before
    assert result == json.loads((run / "robustness.json").read_text())
    first, *corrupted = result["rows"]
    assert (first["dropped"], first["mode"]) == (0, None)
    assert all(first[name] == intact[name] for name in ACCURACIES)
    cases = [(row["mode"], row["dropped"]) for row in corrupted]
    assert cases == [(mode, fraction) for mode in MODES for fraction in SEVERITIES.values()]
    with (run / "robustness.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [float(row["top1"]) for row in table] == [row["top1"] for row in result["rows"]]
    assert table[0]["mode"] == "" and table[1]["mode"] == "random"
    assert (run / "robustness.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_corruption_is_the_one_of_the_table(run: Path) -> None:
    rows = evaluate_robustness(run, num_views=2)["rows"]
    before = (run / "robustness.json").read_bytes()
    single = evaluate_robustness(run, "moderate", mode="block", num_views=2)
    asked = [row for row in rows if (row["mode"], row["dropped"]) == ("block", 0.5)]
    assert single["rows"] == [rows[0], *asked]
    assert (run / "robustness-0.5-block.json").exists()
    assert (run / "robustness.json").read_bytes() == before


@pytest.mark.parametrize("repair", [None, "interpolate"])
def test_rows_are_those_of_the_pipeline_step_by_step(run: Path, repair: str | None) -> None:
    opened = Run.open(run)
    dataset, model = open_validation(opened), opened.load_model()
    steps = [PreNormalize3D(opened.skeleton, scale=True), TemporalCorruption(0.6, "block", SEED)]
    steps += [Interpolate()] if repair else []
    steps += [ToStream(opened.config.data.stream, opened.skeleton), UniformSample(16, train=False)]
    dataset.transform = Compose(steps)
    with torch.inference_mode():
        batch = next(iter(DataLoader(dataset, batch_size=len(dataset))))
        logits = model(batch.x, batch.batch)
    row = evaluate_robustness(run, 0.6, mode="block", repair=repair, num_views=1)["rows"][1]
    assert row["top1"] == pytest.approx((logits.argmax(1).numpy() == dataset.labels).mean())
    found = evaluate_model(
        model, open_validation(opened), opened.config, num_views=1, extra=steps[1:-2]
    )
    np.testing.assert_allclose(found.probabilities, logits.softmax(1), rtol=1e-4, atol=1e-6)
    intact = evaluate_model(model, open_validation(opened), opened.config, num_views=1)
    assert not np.allclose(intact.probabilities, found.probabilities)


def test_without_corruption_missing_joints_are_repaired(run: Path) -> None:
    result = evaluate_robustness(run, 0, repair="interpolate", num_views=2)
    assert [row["dropped"] for row in result["rows"]] == [0]
    assert result["repair"] == "interpolate"
    assert (run / "robustness-0-random-interpolate.png").exists()


def test_mistakes(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="severity 'heavy': choose from minor"):
        evaluate_robustness(run, "heavy")
    with pytest.raises(InputError, match="mode 'gaps'"):
        evaluate_robustness(run, "severe", mode="gaps")
    with pytest.raises(InputError, match="repair 'glue': choose from interpolate"):
        evaluate_robustness(run, repair="glue")
    with pytest.raises(InputError, match="no such folder"):
        evaluate_robustness(tmp_path / "nowhere")
