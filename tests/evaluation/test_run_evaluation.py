from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import global_mean_pool

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.run_evaluation import (
    evaluate_model,
    evaluate_run,
    mean_probabilities,
    open_validation,
)
from pyg_stgcn.recognition import Recognizer
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.studies.lotteries import planned_run


class MeanLogits(nn.Module):
    """A model whose logits are the means of the channels."""

    def forward(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        return global_mean_pool(x.mean(dim=1), batch, batch_size)


@pytest.fixture(scope="module")
def run(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose weights are those of the initialisation."""
    folder = tmp_path_factory.mktemp("evaluation")
    options = {"dataset": str(tiny_pickle), "root": str(folder / "data")}
    run = planned_run(
        options | {"channels": 4, "clip_frames": 8, "epochs": 1, "accelerator": "cpu"},
        folder / "run",
    )
    run.folder.mkdir()
    run.save_config()
    torch.manual_seed(0)
    run.save_weights(run.build_model(), sparse=False)
    return run


def test_probabilities_are_the_mean_over_the_views() -> None:
    clips = [Data(x=torch.randn(persons * 5, 12, 3)) for persons in (1, 2)]
    found = mean_probabilities(MeanLogits(), Batch.from_data_list(clips), 3)
    for row, clip in zip(found, clips, strict=True):
        views = np.split(clip.x.numpy(), 3, axis=1)
        expected = np.mean([softmax(view.mean(axis=(0, 1))) for view in views], axis=0)
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_results_are_those_of_the_saved_predictions(run: Run) -> None:
    result = evaluate_run(run.folder, num_views=2)
    found = Predictions.load(run.predictions)
    predicted = found.probabilities.argmax(axis=1)
    assert (result["views"], result["clips"], result["unlabelled"]) == (2, 18, 0)
    assert result["top1"] == pytest.approx(accuracy_score(found.labels, predicted))
    assert result["mean_class"] == pytest.approx(balanced_accuracy_score(found.labels, predicted))
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert json.loads(Path(result["evaluation_json"]).read_text()) == result
    with Path(result["confusion_csv"]).open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["true", *run.classes] and [row[0] for row in rows] == run.classes
    counts = np.array([row[1:] for row in rows], int)
    np.testing.assert_array_equal(counts, confusion_matrix(found.labels, predicted))
    assert result["sparsity"] == 0 and result["params_kept_fraction"] == 1


def test_more_views_change_the_probabilities(run: Run) -> None:
    one, two = (
        evaluate_model(MeanLogits(), open_validation(run), run.config, num_views=views)
        for views in (1, 2)
    )
    assert one.names.tolist() == two.names.tolist()
    assert not np.allclose(one.probabilities, two.probabilities, rtol=1e-4)


def test_a_model_that_diverged_is_refused(run: Run) -> None:
    class Diverged(nn.Module):
        def forward(
            self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
        ) -> Tensor:
            logits = MeanLogits()(x, batch, batch_size)
            logits[1] = torch.nan
            return logits

    dataset = open_validation(run)
    with pytest.raises(InputError, match=f"1 of 18 clips .* {dataset.names[1]}: .* diverged"):
        evaluate_model(Diverged(), dataset, run.config, num_views=1)


def test_a_run_without_weights_is_not_finished(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(run.config_file.read_bytes())
    with pytest.raises(InputError, match="the run is not finished"):
        evaluate_run(tmp_path)


def test_a_run_on_persons_is_evaluated_on_persons(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    text = (folder / "config.toml").read_text()
    assert "per_person = false" in text
    (folder / "config.toml").write_text(text.replace("per_person = false", "per_person = true"))
    evaluate_run(folder, num_views=2)
    trained = Run.open(folder)
    found = Predictions.load(trained.predictions)

    recognizer = Recognizer.from_model(run.load_model(), run.classes, run.preprocessing)
    clips = SkeletonPickle(Path(run.config.data.dataset), split="val")
    answers = recognizer.predict(clips, num_views=2, per_person=True)
    expected = [
        (f"{name}#{i}", answer.probabilities)
        for name, persons in zip(clips.names, answers, strict=True)
        for i, answer in enumerate(persons)
    ]
    assert found.names.tolist() == [name for name, _ in expected]
    np.testing.assert_allclose(found.probabilities, [p for _, p in expected], atol=1e-6)
