from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.fusion import fuse, fuse_runs, published_weights, search_weights
from pyg_stgcn.evaluation.run_evaluation import evaluate_run
from pyg_stgcn.runs.config_file import load_config, save_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.training.runner import train


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_fusion_is_the_weighted_mean() -> None:
    first, second = np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([[0.2, 0.8], [0.3, 0.7]])
    expected = (2 * first + second) / 3
    np.testing.assert_allclose(fuse([first, second], [2, 1]), expected)
    np.testing.assert_allclose(fuse([first, second], [0, 5]), second)


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [0, 0], [-1, 2], [float("nan"), 1]])
def test_weights_that_are_no_mean(weights: list[float]) -> None:
    with pytest.raises(InputError, match=r"^weights "):
        fuse([np.eye(2), np.eye(2)], weights)


def test_published_weights() -> None:
    two = published_weights(["joint", "bone"])
    assert two[0] == two[1]
    four = published_weights(["joint", "bone", "joint-motion", "bone-motion"])
    assert four == [2, 2, 1, 1]


def test_search_beats_every_other_weight_on_its_clips() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 80)
    right = np.eye(4)[labels]
    good = softmax(2.0 * right + rng.normal(size=(80, 4)))
    fair = softmax(1.7 * right + rng.normal(size=(80, 4)))
    noise = softmax(3 * rng.normal(size=(80, 4)))
    runs = [noise, good, fair]
    weights = search_weights(runs, labels)
    assert weights == search_weights(runs, labels)

    def merit(weights: tuple[int, ...] | list[float]) -> tuple[float, float]:
        fused = fuse(runs, weights)
        return (fused.argmax(axis=1) == labels).mean(), -round(log_loss(labels, fused), 9)

    others = [some for some in product(range(5), repeat=3) if any(some)]
    assert merit(weights) == max(map(merit, others))
    assert merit(weights) > merit((0, 1, 0))


@pytest.fixture(scope="module")
def runs(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    config = TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(folder / "data"),
        channels=4,
        clip_frames=12,
        epochs=2,
        batch_size=12,
        eval_views=2,
        hold_out=0.25,
        accelerator="cpu",
    )
    streams = ["joint", "bone-motion"]
    for seed, stream in enumerate(streams):
        train(config.replace(stream=stream, seed=seed), folder / stream)
    return [folder / stream for stream in streams]


def test_runs_are_fused_by_hand(runs: list[Path], tmp_path: Path) -> None:
    result = fuse_runs(runs, tmp_path / "fusion")
    saved = [Predictions.load(run / "predictions.npz") for run in runs]
    by_hand = (2 * saved[0].probabilities + saved[1].probabilities).argmax(axis=1)
    assert result["top1"] == (by_hand == saved[0].labels).mean()
    assert [run["weight"] for run in result["runs"]] == [2, 1]
    for run, folder in zip(result["runs"], runs, strict=True):
        assert run["top1"] == json.loads((folder / "summary.json").read_text())["top1"]
    assert json.loads((tmp_path / "fusion" / "fusion.json").read_text()) == result
    assert Path(result["fusion_png"]).read_bytes().startswith(b"\x89PNG")
    alone = fuse_runs(runs, tmp_path / "fusion", weights=[0, 1])
    assert alone["top1"] == alone["runs"][1]["top1"]


def test_means_over_different_numbers_of_views_are_not_mixed(
    runs: list[Path], tmp_path: Path
) -> None:
    one, other = (shutil.copytree(run, tmp_path / run.name) for run in runs)
    for name in ("predictions.npz", "predictions-held-out.npz"):
        found = Predictions.load(other / name)
        assert found.num_views == 2
        for search in (False, True):
            replace(found, num_views=1).save(other / name)
            message = rf"views \({one}: 2, {other}: 1\); .*evaluate {other} --views 2'"
            if search or name == "predictions.npz":
                with pytest.raises(InputError, match=message):
                    fuse_runs([one, other], tmp_path / "fusion", search=search)
        found.save(other / name)
    assert fuse_runs([one, other], tmp_path / "fusion", search=True)["views"] == 2


def test_held_out_clips_are_neither_trained_on_nor_tested(runs: list[Path]) -> None:
    held_out = [Predictions.load(run / "predictions-held-out.npz") for run in runs]
    # The same clips whatever the seed, of every class.
    assert np.array_equal(held_out[0].names, held_out[1].names)
    tested = Predictions.load(runs[0] / "predictions.npz")
    assert not set(held_out[0].names) & set(tested.names)
    assert set(held_out[0].labels) == set(tested.labels)
    content = Run.open(runs[0]).metadata["data"]
    assert content["train_clips"] == 3 * len(held_out[0].names)


def test_search_uses_the_held_out_clips_alone(runs: list[Path], tmp_path: Path) -> None:
    held_out = [Predictions.load(run / "predictions-held-out.npz") for run in runs]
    expected = search_weights([one.probabilities for one in held_out], held_out[0].labels)
    result = fuse_runs(runs, tmp_path, search=True)
    assert [run["weight"] for run in result["runs"]] == expected
    assert "held-out" in result["chosen_by"]


def test_evaluation_writes_the_predictions_again(runs: list[Path]) -> None:
    path = runs[0] / "predictions.npz"
    before = Predictions.load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"predictions\.npz: damaged.*evaluate"):
        fuse_runs(runs, runs[0].parent / "fusion")
    path.unlink()
    with pytest.raises(InputError, match=r"no predictions\.npz.*evaluate"):
        fuse_runs(runs, runs[0].parent / "fusion")
    evaluate_run(runs[0], num_views=2)
    assert np.array_equal(Predictions.load(path).probabilities, before.probabilities)


def test_classes_in_another_order_are_fused_by_name(runs: list[Path], tmp_path: Path) -> None:
    expected = fuse_runs(runs, tmp_path / "out", search=True)
    order = [2, 0, 1]
    other = Path(shutil.copytree(runs[1], tmp_path / "other"))
    config, metadata = load_config(other / "config.toml")
    metadata["data"]["classes"] = [metadata["data"]["classes"][i] for i in order]
    save_config(other / "config.toml", config, metadata)
    for name in ("predictions.npz", "predictions-held-out.npz"):
        found = Predictions.load(other / name)
        labels = np.argsort(order)[found.labels]
        probabilities = found.probabilities[:, order]
        replace(found, labels=labels, probabilities=probabilities).save(other / name)
    result = fuse_runs([runs[0], other], tmp_path / "out", search=True)
    assert result["top1"] == expected["top1"]
    for one, two in zip(result["runs"], expected["runs"], strict=True):
        assert {**one, "run": ""} == {**two, "run": ""}
    metadata["data"]["classes"][0] = "waves"
    save_config(other / "config.toml", config, metadata)
    with pytest.raises(InputError, match=r"other: 'waves' is not among the classes of .*joint; it"):
        fuse_runs([runs[0], other], tmp_path / "out")


def test_runs_that_do_not_match(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        fuse_runs(runs[:1], tmp_path / "out")
    config = Run.open(runs[0]).config
    other = tmp_path / "other"
    train(config.replace(hold_out=0.0, epochs=1), other)
    with pytest.raises(InputError, match="train with hold_out="):
        fuse_runs([runs[0], other], tmp_path / "out", search=True)
    predictions = Predictions.load(other / "predictions.npz")
    replace(predictions, names=predictions.names[::-1]).save(other / "predictions.npz")
    with pytest.raises(InputError, match="evaluated on other clips"):
        fuse_runs([runs[0], other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_fraction_that_leaves_a_class_empty(runs: list[Path], tmp_path: Path) -> None:
    config = Run.open(runs[0]).config.replace(hold_out=0.01)
    with pytest.raises(InputError, match=r"^hold_out 0\.01 of"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
