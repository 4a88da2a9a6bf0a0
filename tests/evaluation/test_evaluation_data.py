from __future__ import annotations

import csv
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.evaluation_data import EvaluationData
from pyg_stgcn.evaluation.robustness import evaluate_robustness
from pyg_stgcn.evaluation.run_evaluation import evaluate_run
from pyg_stgcn.runs.config_file import load_config, save_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.training.runner import train

Change = Callable[[dict[str, Any]], object]
ORDER = (2, 0, 1)


def reorder_classes(content: dict[str, Any]) -> None:
    """The same classes of the same clips, under other numbers."""
    names = content["meta"]["classes"]
    content["meta"]["classes"] = [names[ORDER.index(number)] for number in range(3)]
    for annotation in content["annotations"]:
        annotation["label"] = ORDER[annotation["label"]]


def rewrite(path: Path, change: Change, target: Path | None = None) -> Path:
    content = pickle.loads(path.read_bytes())
    change(content)
    target = target or path
    target.write_bytes(pickle.dumps(content))
    return target


@pytest.fixture(scope="module")
def trained(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pickle of its own and a run on it that has learnt something."""
    folder = tmp_path_factory.mktemp("trained")
    splits = {"train": slice(36), "val": slice(36, 48), "test": slice(48, 54)}

    def add_test(content: dict[str, Any]) -> None:
        names = [annotation["frame_dir"] for annotation in content["annotations"]]
        content["split"] = {split: names[part] for split, part in splits.items()}

    data = rewrite(tiny_pickle, add_test, folder / "mine.pkl")
    config = TrainOptions.of(
        dataset=str(data),
        channels=4,
        clip_frames=12,
        epochs=30,
        batch_size=12,
        eval_views=1,
        hold_out=0.25,
        accelerator="cpu",
    )
    train(config, folder / "run")
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of both; the run still names the first pickle."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def evaluate(folder: Path, **data: Any) -> dict[str, Any]:
    return evaluate_run(folder / "run", num_views=1, data=EvaluationData(**data))


def results(folder: Path) -> dict[str, bytes]:
    """The files about the run's own validation clips, which ``fuse`` reads."""
    names = ("evaluation.json", "predictions.npz", "predictions-held-out.npz", "confusion.csv")
    return {name: (folder / "run" / name).read_bytes() for name in names}


def test_classes_in_another_order_are_matched_by_name(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = evaluate(folder)
    before = results(folder)
    assert first["top1"] > 0.5
    moved = rewrite(folder / "mine.pkl", reorder_classes, folder / "moved.pkl")
    second = evaluate(folder, dataset=str(moved))
    assert "has the classes of" in caplog.text and "in another order" in caplog.text
    assert [second[name] for name in ("top1", "mean_class")] == [first["top1"], first["mean_class"]]
    after = results(folder)
    assert after.pop("evaluation.json") != before.pop("evaluation.json")  # The path is another.
    assert after == before


def test_other_classes_are_refused(folder: Path) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["meta"]["classes"][0] = "jumps"

    other = rewrite(folder / "mine.pkl", rename, folder / "other.pkl")
    with pytest.raises(InputError, match=r"'jumps' is not among the classes of .*run; it lacks"):
        evaluate(folder, dataset=str(other))


def test_results_of_a_test_split_stand_beside_those_of_the_run(folder: Path) -> None:
    evaluate(folder)
    before = results(folder)
    result = evaluate(folder, split="test")
    assert results(folder) == before
    assert (result["split"], result["clips"], result["unlabelled"]) == ("test", 6, 0)
    record = folder / "run/evaluation-mine-test.json"
    assert result["evaluation_json"] == str(record)
    assert json.loads(record.read_text()) == result
    found = Predictions.load(folder / "run/predictions-mine-test.npz")
    assert found.names.tolist() == [f"clip{number}" for number in range(48, 54)]
    assert result["top1"] == (found.probabilities.argmax(axis=1) == found.labels).mean()
    every = evaluate(folder, split="all")
    assert every["clips"] == 54


def test_clips_without_labels_are_only_predicted(folder: Path) -> None:
    def remove(content: dict[str, Any]) -> None:
        del content["meta"], content["split"]
        content["annotations"] = content["annotations"][40:]
        for annotation in content["annotations"][:3]:
            del annotation["label"]

    other = rewrite(folder / "mine.pkl", remove, folder / "other.pkl")
    result = evaluate(folder, dataset=str(other))
    assert (result["clips"], result["unlabelled"], result["split"]) == (14, 3, "all")
    with np.load(folder / "run/predictions-other-all.npz") as file:
        found = Predictions(**file)
    right = found.probabilities.argmax(axis=1) == found.labels
    assert result["top1"] == right[3:].mean()
    with Path(result["predictions_csv"]).open() as file:
        rows = list(csv.DictReader(file))
    classes = Run.open(folder / "run").classes
    assert [row["name"] for row in rows] == found.names.tolist()
    assert [row["label"] for row in rows[:4]] == ["", "", "", classes[found.labels[3]]]
    for row, probabilities in zip(rows, found.probabilities, strict=True):
        assert row["predicted"] == classes[probabilities.argmax()]
        assert float(row["probability"]) == pytest.approx(probabilities.max(), abs=1e-6)

    def remove_all(content: list[Any] | dict[str, Any]) -> None:
        remove(content)  # type: ignore[arg-type]
        for annotation in content["annotations"]:  # type: ignore[call-overload]
            annotation["label"] = -1

    nothing = rewrite(folder / "mine.pkl", remove_all, folder / "nothing.pkl")
    result = evaluate(folder, dataset=str(nothing))
    assert result["unlabelled"] == 14 and "top1" not in result and "confusion_csv" not in result
    with pytest.raises(InputError, match="split 'all': no clip has a label"):
        evaluate_robustness(folder / "run", 0.5, data=EvaluationData(dataset=str(nothing)))


def test_dropped_frames_of_other_clips(folder: Path) -> None:
    result = evaluate_robustness(
        folder / "run", 0.5, num_views=1, data=EvaluationData(split="test")
    )
    assert result["robustness_csv"] == str(folder / "run/robustness-0.5-random-mine-test.csv")
    assert (folder / "run/robustness-0.5-random-mine-test.json").exists()
    assert result["rows"][0]["top1"] == evaluate(folder, split="test")["top1"]


def test_data_that_moved_are_those_of_the_run(folder: Path) -> None:
    path = folder / "run/config.toml"
    config, metadata = load_config(path)
    save_config(path, config.replace(dataset=str(folder / "gone.pkl")), metadata)
    with pytest.raises(
        InputError, match=r"gone.pkl: no such file, .*run was trained .*as the dataset"
    ):
        evaluate(folder)
    moved = (folder / "mine.pkl").rename(folder / "moved.pkl")
    result = evaluate(folder, dataset=str(moved))
    assert result["evaluation_json"] == str(folder / "run/evaluation.json")
    held_out = Predictions.load(folder / "run/predictions-held-out.npz")
    assert len(held_out.names) == 9


def test_data_that_resemble_those_of_the_run_are_others(folder: Path) -> None:
    def swap(content: dict[str, Any]) -> None:
        content["split"]["val"], content["split"]["test"] = (
            content["split"]["test"],
            content["split"]["val"],
        )

    evaluate(folder)
    before = results(folder)
    other = rewrite(folder / "mine.pkl", swap, folder / "other.pkl")
    assert evaluate(folder, dataset=str(other))["clips"] == 6
    assert (folder / "run/evaluation-other-val.json").exists()
    assert results(folder) == before


def test_files_of_one_name_in_two_folders(folder: Path) -> None:
    def cut(content: dict[str, Any]) -> None:
        del content["split"]
        content["annotations"] = content["annotations"][50:]

    paths = []
    for name in "ab":
        (folder / name).mkdir()
        paths.append(rewrite(folder / "mine.pkl", cut, folder / name / "clips.pkl"))
    records = [evaluate(folder, dataset=str(path))["evaluation_json"] for path in paths]
    assert records[0] == str(folder / "run/evaluation-clips-all.json") != records[1]
    again = [evaluate(folder, dataset=str(path))["evaluation_json"] for path in paths]
    assert again == records
    assert [json.loads(Path(record).read_text())["dataset"] for record in records] == [
        str(path) for path in paths
    ]


def test_changed_validation_clips_are_noticed(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "run/config.toml"
    config, metadata = load_config(path)
    save_config(path, config.replace(dataset=str(folder / "mine.pkl")), metadata)
    evaluate(folder)
    assert "has changed since" not in caplog.text

    def shorten(content: dict[str, Any]) -> None:
        content["split"]["val"] = content["split"]["val"][1:]

    rewrite(folder / "mine.pkl", shorten)
    evaluate(folder)
    assert "has changed since" in caplog.text
    assert "the names or classes of the 11 validation clips are different" in caplog.text


def test_data_that_do_not_fit(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"its skeleton is not that of .*run: it has 25 joints .*, not 5"
    ):
        evaluate(folder, dataset="synthetic", root=str(folder / "data"))
    with pytest.raises(InputError, match=r"split 'dev' does not exist; choose one of train, val"):
        evaluate(folder, split="dev")
    with pytest.raises(InputError, match="benchmark 'xsub' does not exist"):
        evaluate(folder, benchmark="xsub")


def test_other_data_may_be_too_few_to_hold_some_out_as_the_training_did(folder: Path) -> None:
    def keep_two(content: dict[str, Any]) -> None:
        train, val = content["split"]["train"][:1], content["split"]["val"][:1]
        content["split"] = {"train": train, "val": val}
        kept = {*train, *val}
        content["annotations"] = [
            annotation for annotation in content["annotations"] if annotation["frame_dir"] in kept
        ]

    data = rewrite(folder / "mine.pkl", keep_two, folder / "two.pkl")
    assert evaluate(folder, dataset=str(data), split="all")["clips"] == 2


def test_a_run_with_clips_taken_for_validation(trained: Path, tmp_path: Path) -> None:
    def remove_splits(content: dict[str, Any]) -> None:
        del content["split"]

    data = rewrite(trained / "mine.pkl", remove_splits, tmp_path / "list.pkl")
    config = TrainOptions.of(
        dataset=str(data),
        val_split=0.2,
        channels=4,
        clip_frames=12,
        epochs=1,
        batch_size=12,
        eval_views=1,
        accelerator="cpu",
    )
    train(config, tmp_path / "run")
    own = Predictions.load(tmp_path / "run/predictions.npz")
    assert len(own.names) == 12
    moved = data.rename(tmp_path / "moved.pkl")
    result = evaluate(tmp_path, dataset=str(moved))
    assert result["evaluation_json"] == str(tmp_path / "run/evaluation.json")
    assert np.array_equal(Predictions.load(tmp_path / "run/predictions.npz").names, own.names)
    trained_on = evaluate(tmp_path, dataset=str(moved), split="train")
    assert trained_on["clips"] == 42
