"""``pyg-stgcn predict``."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from pyg_stgcn.cli import main
from pyg_stgcn.evaluation import evaluate_run
from pyg_stgcn.evaluation.evaluation_data import EvaluationData
from pyg_stgcn.models import create_model, pyskl_state_dict
from pyg_stgcn.recognition import Recognizer, published_recognizer
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.skeletons import get_skeleton

SIZE = ("--image-size", "480x640")
FAST = (*SIZE, "--views", "1")
CLASSES = ["wave", "clap", "sit down", "drink"]


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["predict", *(str(word) for word in words)])


def passed(*words: object) -> str:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: object, code: int = 1) -> str:
    result = call(*words)
    assert result.exit_code == code and not result.stdout, result.output
    return " ".join(result.stderr.split())


def answers(*words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(passed(*words, "--json"))["answers"]
    return found


@pytest.fixture(scope="module")
def model(make_model_file: Callable[..., Path]) -> Path:
    return make_model_file("coco17", planar=True)


def body(frames: int, seed: int = 0) -> NDArray[np.float32]:
    """A person ``[T, 17, 3]`` who walks to the right, in pixels, with scores."""
    rng = np.random.default_rng(seed)
    pose = rng.uniform(100, 250, (17, 2)) + 3 * np.arange(frames)[:, None, None] * [1, 0]
    pose += rng.normal(0, 1, pose.shape)
    return np.concatenate([pose, np.full((frames, 17, 1), 0.5)], axis=-1).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings, the last of two persons."""
    poses = tmp_path / "poses"
    poses.mkdir()
    np.save(poses / "a.npy", body(20))
    np.save(poses / "b.npy", body(30, 1))
    np.save(poses / "c.npy", np.stack([body(40, 2), body(40, 3)]))
    return poses


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, not trained, and the six clips of real poses that it is evaluated on."""
    folder = tmp_path_factory.mktemp("real")
    data = folder / "ucf.pkl"
    data.write_bytes((shared_data / "data/pyskl/mini_ucf101.pkl").read_bytes())
    options = TrainOptions.of(dataset=str(data), channels=4, clip_frames=16, pad_persons=2)
    skeleton = get_skeleton("coco17")
    classes = ["0", "1", "2"]
    about = {"skeleton": skeleton.to_dict(), "classes": classes, "in_channels": 3}
    metadata = {"data": {**about, "has_score": True}}
    run = Run(folder / "run", options.with_recipe(6, None), skeleton, classes, 3, metadata)
    run.folder.mkdir()
    run.save_config()
    model = run.build_model()
    model.head.linear.weight.data.normal_(std=20)
    run.save_weights(model, sparse=False)
    return run.folder, data


def test_a_model_of_single_persons_says_so_when_it_sees_several(
    real: tuple[Path, Path], folder: Path
) -> None:
    run = Run.open(real[0])
    assert "single persons" not in call(run.folder, folder / "c.npy", *FAST).stderr
    persons = replace(run, folder=folder / "run", config=run.config.replace(per_person=True))
    persons.folder.mkdir()
    persons.save_config()
    persons.save_weights(run.load_model(), sparse=False)
    for words in ([folder / "a.npy"], [folder / "c.npy", "--per-person"]):
        assert "single persons" not in call(persons.folder, *words, *FAST).stderr
    result = call(persons.folder, folder / "b.npy", folder / "c.npy", folder / "c.npy", *FAST)
    assert result.exit_code == 0
    assert result.stderr.count("trained on single persons") == 1


@pytest.mark.parametrize("option", ["--csv", "--out"])
def test_no_output_replaces_a_file_of_the_folder(model: Path, folder: Path, option: str) -> None:
    other = folder / ("z.csv" if option == "--csv" else "z.mp4")
    np.save(folder / "a.npy", body(20))
    (folder / "a.npy").rename(other)  # The format is recognised by the content.
    before = other.read_bytes()
    assert "is an input or the model" in refused(model, folder, *FAST, option, other, code=2)
    assert other.read_bytes() == before


def test_probabilities_are_those_of_the_evaluation(real: tuple[Path, Path]) -> None:
    run, data = real
    evaluate_run(run, data=EvaluationData(dataset=str(data), split="all"))
    expected = Predictions.load(next(run.glob("predictions-*.npz")))
    found = answers(run, data, "--top", 3)
    assert [row["name"] for row in found] == expected.names.tolist()
    for row, probabilities in zip(found, expected.probabilities, strict=True):
        given = {top["label"]: top["probability"] for top in row["classes"]}
        np.testing.assert_allclose([given[str(k)] for k in range(3)], probabilities, atol=1e-6)
        assert row["answer"] == str(probabilities.argmax())
    (one,) = answers(run, f"{data}:{expected.names[3]}")
    assert one == found[3]
    assert "--image-size: is for pose files" in refused(run, data, *SIZE)
    # The same poses, read as a pose file.
    content = pickle.loads(data.read_bytes())["annotations"][0]
    poses = data.parent / "first.npy"
    score = content["keypoint_score"][..., None]
    np.save(poses, np.concatenate([content["keypoint"], score], axis=-1).astype(np.float32))
    height, width = content["img_shape"]
    (same,) = answers(run, poses, "--image-size", f"{height}x{width}")
    for one, other in zip(same["classes"], found[0]["classes"], strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def test_a_pickle_on_another_layout(
    real: tuple[Path, Path], make_model_file: Callable[..., Path]
) -> None:
    other = make_model_file("openpose18", planar=True)
    found = answers(other, real[1], "--views", 1)
    assert len(found) == 6
    (one,) = answers(other, f"{real[1]}:{found[2]['name']}", "--views", 1)
    assert (one["name"], one["answer"]) == (found[2]["name"], found[2]["answer"])
    assert one["persons"] == found[2]["persons"]


def test_a_table_of_a_folder(model: Path, folder: Path) -> None:
    lines = passed(model, folder, *SIZE).splitlines()
    found = answers(model, folder, *SIZE)
    assert [row["name"] for row in found] == ["a", "b", "c"]
    assert [row["persons"] for row in found] == [1, 1, 2]
    recognizer = Recognizer.load(model)
    for row, path in zip(found, sorted(folder.iterdir()), strict=True):
        expected = recognizer.predict(path, image_size=(480, 640), num_views=10)
        assert row["answer"] == expected.label and row["path"] == str(path)
        assert row["classes"][0]["probability"] == pytest.approx(expected.probability, abs=1e-6)
        assert (row["first_frame"], row["status"]) == (0, "recognised")
        shown = next(line for line in lines if line.split()[:1] == [row["name"]])
        assert f"{row['answer']}" in shown
        assert f"{100 * row['classes'][0]['probability']:.2f} %" in shown
    assert len(answers(model, folder / "a.npy", folder / "b.npy", "--top", 9, *SIZE)) == 2
    assert len(answers(model, folder / "a.npy", "--top", 9, *SIZE)[0]["classes"]) == len(CLASSES)


def test_windows_of_each_person(model: Path, folder: Path, tmp_path: Path) -> None:
    table, figure = tmp_path / "answers.csv", tmp_path / "time.png"
    options = ["--per-person", "--windows", "2s/1s", "--fps", 10, *SIZE]
    found = answers(model, folder / "c.npy", *options, "--csv", table, "--figure", figure)
    places = [(row["person"], row["first_frame"], row["last_frame"]) for row in found]
    assert sorted(places) == [(p, s, s + 19) for p in (0, 1) for s in (0, 10, 20)]
    assert all(row["start"] == row["first_frame"] / 10 for row in found)
    recognizer, both = Recognizer.load(model), np.load(folder / "c.npy")
    for row in found:
        part = both[row["person"], row["first_frame"] : row["last_frame"] + 1]
        expected = recognizer.predict(part, image_size=(480, 640))
        assert row["answer"] == expected.label and row["persons"] == 1
        assert row["classes"][0]["probability"] == pytest.approx(expected.probability, abs=1e-5)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["answer"] for row in rows] == [row["answer"] for row in found]
    assert [float(row["end"]) for row in rows] == [row["end"] for row in found]
    assert figure.stat().st_size > 5000
    assert "to (s)" in passed(model, folder / "c.npy", *options)
    assert len(answers(model, folder / "c.npy", "--max-persons", 1, "--per-person", *SIZE)) == 1


def test_figures_of_few_and_of_many_clips(model: Path, folder: Path, tmp_path: Path) -> None:
    for name, words in (("few", [folder]), ("many", [folder / "a.npy"] * 17)):
        passed(model, *words, *FAST, "--figure", tmp_path / f"{name}.svg")
    few, many = ((tmp_path / f"{name}.svg").read_text() for name in ("few", "many"))
    assert "probability (%)" in few and "answers to 17 clips" in many


def test_below_the_confidence(model: Path, folder: Path) -> None:
    (sure,) = answers(model, folder / "a.npy", *FAST)
    best = sure["classes"][0]["probability"]
    (row,) = answers(model, folder / "a.npy", *FAST, "--min-confidence", best + 1e-6)
    assert (row["status"], row["answer"]) == ("unknown", None)
    assert row["classes"][0]["probability"] == pytest.approx(best, abs=1e-7)
    assert "unknown (" in passed(model, folder / "a.npy", *FAST, "--min-confidence", best + 1e-6)
    (row,) = answers(model, folder / "a.npy", *FAST, "--min-confidence", best - 1e-6)
    assert row["status"] == "recognised"


@pytest.mark.parametrize("more", [[], ["--per-person"], ["--windows", "10/5"]])
def test_nobody(
    model: Path,
    tmp_path: Path,
    write_openpose: Callable[..., None],
    make_poses: Callable[..., NDArray[np.float32]],
    more: list[str],
) -> None:
    write_openpose(tmp_path / "empty", np.zeros((0, 12, 25, 3)))
    np.save(tmp_path / "zero.npy", np.zeros((20, 17, 3)))
    # Only the last of the windows shows a person.
    poses = make_poses(0, 30)
    poses[:, :20] = 0
    write_openpose(tmp_path / "late", poses)
    found = answers(model, tmp_path, *FAST, *more)
    assert [row["name"] for row in found][:2] == ["empty", "late"]
    for row in found:
        somebody = row["name"] == "late" and ("--windows" not in more or row["first_frame"] >= 15)
        assert row["status"] == ("recognised" if somebody else "nobody"), row
        assert bool(row["classes"]) == bool(row["persons"]) == somebody
        assert (row["person"] is None) == (not somebody or "--per-person" not in more)
    assert "nobody" in passed(model, tmp_path, *FAST, *more)


def test_bad_files_do_not_stop_the_others(model: Path, folder: Path, tmp_path: Path) -> None:
    spoilt = body(20)
    spoilt[3, 4, 0] = np.nan
    for name in ("d", "e"):
        np.save(folder / f"{name}.npy", spoilt)
    (folder / "f.npy").write_bytes((folder / "a.npy").read_bytes()[:200])
    table = tmp_path / "answers.csv"
    result = call(model, folder, *FAST, "--json", "--csv", table)
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert [row["name"] for row in content["answers"]] == ["a", "b", "c"]
    assert [Path(name).name for name in content["failed"]] == ["d.npy", "e.npy", "f.npy"]
    assert "3 of 6 inputs could not be read:" in result.stderr
    assert len(table.read_text().splitlines()) == 4
    # Nothing is written if nothing can be answered.
    other = tmp_path / "other.csv"
    message = refused(model, folder / "d.npy", *FAST, "--csv", other, "--json")
    assert str(folder / "d.npy") in message and not other.exists()
    message = refused(model, folder / "d.npy", folder / "e.npy", *FAST, "--csv", other)
    assert "2 of 2 inputs could not be read" in message and not other.exists()


def test_wrong_usage(model: Path, folder: Path, tmp_path: Path) -> None:
    assert "give a MODEL and an INPUT" in refused(model, code=2)
    assert "no whole number of frames" in refused(model, folder, "--windows", "1.5/1", code=2)
    for path in (folder / "a.npy", model):
        message = refused(model, folder / "a.npy", "--csv", path, code=2)
        assert "is an input or the model; name another file" in message
    out = tmp_path / "both.gif"
    message = refused(model, folder / "a.npy", "--csv", out, "--out", out, code=2)
    assert "is the file of --csv; name another file" in message
    table = tmp_path / "nowhere/answers.csv"
    assert "there is no folder" in refused(model, folder, "--csv", table, code=2)
    message = refused(model, folder / "a.npy", tmp_path / "none.json", *FAST)
    assert "none.json: there is no such file, folder or dataset" in message
    assert "did you mean 'utd-mhad'?" in refused(model, "utd-mhd", *FAST)
    assert "name a run, or a file of" in refused(tmp_path / "none", folder)
    for name, hint in (("x.onnx", "for other runtimes"), ("x.pth", "give a published one as")):
        (tmp_path / name).touch()
        assert hint in refused(tmp_path / name, folder)
    message = refused(model, folder, "--checkpoint", "best")
    assert "--checkpoint 'best'" in message and "which has one set of weights" in message


def test_what_windows_and_models_need(
    model: Path, folder: Path, make_model_file: Callable[..., Path]
) -> None:
    message = refused(model, folder / "a.npy", *FAST, "--windows", "2s/1s")
    assert "such as --fps 25" in message
    assert "leave out 5 of every 15 frames" in refused(
        model, folder / "a.npy", *FAST, "--windows", "10/15"
    )
    assert "--image-size" in refused(model, folder / "a.npy")
    solid = make_model_file("ntu25", planar=False)
    assert "these are 2-D: train on 2-D poses" in refused(solid, folder / "a.npy", *FAST)


def test_a_recording_of_one_frame_and_a_crowd(
    model: Path,
    tmp_path: Path,
    write_openpose: Callable[..., None],
    make_poses: Callable[..., NDArray[np.float32]],
) -> None:
    np.save(tmp_path / "one.npy", body(1))
    (row,) = answers(model, tmp_path / "one.npy", *FAST)
    assert row["status"] == "recognised" and row["last_frame"] == 0
    crowd = tmp_path / "crowd"
    write_openpose(crowd, np.concatenate([make_poses(seed, 2, 3) for seed in range(30)]))
    (row,) = answers(model, crowd, *FAST, "--max-persons", 90)
    assert row["persons"] > 30
    assert answers(model, crowd, *FAST)[0]["persons"] == 2


def test_an_overlay_of_the_answers(model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.gif"
    found = answers(model, folder / "a.npy", *FAST, "--out", out, "--windows", "10/5")
    assert len(found) == 3
    with Image.open(out) as animation:
        assert animation.n_frames == 10  # Every second of 20 frames.
    out.unlink()
    message = refused(model, folder, *FAST, "--out", out)
    assert "--out: draws one pose file or video, not 3 inputs" in message
    assert "'.mp4'" in refused(model, folder, "--out", tmp_path / "a.mp3", code=2)
    spoilt = np.full((20, 17, 3), np.inf)
    np.save(folder / "d.npy", spoilt)
    assert refused(model, folder / "d.npy", *FAST, "--out", out) and not out.exists()


def test_published_weights(tmp_path: Path) -> None:
    network = create_model("stgcnpp", 3, "hand21", in_channels=2, base_channels=8, num_stages=2)
    weights, names = tmp_path / "hand.pth", tmp_path / "names.txt"
    torch.save(pyskl_state_dict(network), weights)
    names.write_text("fist\npalm\npeace\n")
    rng = np.random.default_rng(0)
    hand = rng.uniform(100, 300, (21, 2)) + rng.normal(0, 1, (30, 21, 2))
    np.save(tmp_path / "hand.npy", hand)
    options = ["--init", weights, "--model", "stgcnpp", "--classes", names]
    (row,) = answers(*options, tmp_path / "hand.npy", *FAST)
    recognizer = published_recognizer(weights, classes=names)
    expected = recognizer.predict(hand, image_size=(480, 640))
    assert row["answer"] == expected.label in ("fist", "palm", "peace")
    assert row["classes"][0]["probability"] == pytest.approx(expected.probability, abs=1e-6)


def test_published_weights_and_models_exclude_each_other(real: tuple[Path, Path]) -> None:
    run, data = real
    assert "leave MODEL out" in refused("--init", "hagrid.pth", run, data, code=2)
    assert "is for runs" in refused("--init", "a.pth", data, "--checkpoint", "best", code=2)
    for option, value in (("model", "stgcn"), ("stream", "bone"), ("classes", "ntu60")):
        assert f"--{option} is for --init" in refused(run, data, f"--{option}", value, code=2)
