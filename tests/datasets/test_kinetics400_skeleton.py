from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_stgcn.datasets import Kinetics400Skeleton
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.transforms import PreNormalize2D


def frame(index: int, *scores: float) -> dict[str, Any]:
    """A frame of persons, one for every score; all its joints have it."""
    rng = np.random.default_rng(index)
    persons = [
        {"pose": rng.uniform(0, 1, 36).round(3).tolist(), "score": [score] * 18} for score in scores
    ]
    return {"frame_index": index, "skeleton": persons}


def write(
    folder: Path, name: str, *frames: dict[str, Any], label: int = 0, called: Any = "abseiling"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"data": frames, "label": called, "label_index": label}))
    return file


def expected_of(content: dict[str, Any]) -> np.ndarray:
    """The array [2, 300, 18, 3] of a file, joint by joint."""
    out = np.zeros((2, 300, 18, 3))
    for entry in content["data"]:
        persons = sorted(entry["skeleton"][:5], key=lambda person: -sum(person["score"]))
        for slot, person in enumerate(persons[:2]):
            for joint, score in enumerate(person["score"]):
                if score:
                    x, y = person["pose"][2 * joint : 2 * joint + 2]
                    out[slot, entry["frame_index"], joint] = x, y, score
    return out[out.any(axis=(1, 2, 3))]


def check(dataset: Kinetics400Skeleton, files: dict[str, Path]) -> None:
    assert dataset.names == sorted(files)
    for data in dataset:
        content = json.loads(files[data.name].read_text())
        expected = expected_of(content)
        x = data.x.view(len(expected), 18, 300, 3).transpose(1, 2).numpy()
        assert np.array_equal(x, expected.astype(np.float16).astype(np.float32))
        # Three decimals survive half precision.
        assert np.array_equal(x.round(3), expected.astype(np.float32).round(3))
        assert int(data.y) == content["label_index"]
        assert dataset.classes[int(data.y)] == content["label"]


def test_genuine_files(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "data/kinetics_skeleton"
    files = {file.stem: file for file in folder.glob("*.json")}
    flat = Kinetics400Skeleton(tmp_path, split="all", source=folder)
    check(flat, files)
    assert flat.skeleton == get_skeleton("openpose18")
    assert (flat.num_classes, flat.has_score, flat.num_channels) == (400, True, 3)
    published = (shared_data / "data/facts/classes_k400.txt").read_text().splitlines()
    assert flat.classes == published
    assert flat.num_frames.tolist() == [300] * 5
    with pytest.raises(InputError, match=r"no division into training and validation clips"):
        Kinetics400Skeleton(tmp_path, source=folder)
    # The corners of the image go to one, and joints that were not found to the middle.
    normal = PreNormalize2D()(flat[0].clone())
    found = flat[0].x[..., 2] > 0.01
    assert torch.allclose(normal.x[found][:, :2], 2 * flat[0].x[found][:, :2] - 1)
    assert not normal.x[~found][:, :2].any()


@pytest.mark.parametrize("zipped", [False, True])
def test_splits_and_label_files(tmp_path: Path, zipped: bool) -> None:
    source = tmp_path / "kinetics-skeleton"
    files = {
        "-a": write(source / "kinetics_train", "-a", frame(1, 0.5)),
        "b": write(source / "kinetics_train", "b", frame(299, 0.1, 0.9)),
        "c": write(source / "kinetics_val", "c", frame(0, 0.5)),
    }
    write(source / "kinetics_train", "empty", frame(1))
    labels = {
        name: {"has_skeleton": name != "empty", "label": "abseiling", "label_index": 0}
        for name in ("-a", "b", "empty")
    }
    (source / "kinetics_train_label.json").write_text(json.dumps(labels))
    (source / "kinetics_val_label.json").write_text(json.dumps({"c": {"label_index": 0}}))
    if zipped:
        shutil.make_archive(str(tmp_path / "all"), "zip", tmp_path, source.name)
        source = tmp_path / "all.zip"
    check(Kinetics400Skeleton(tmp_path / "root", split="all", source=source), files)
    assert Kinetics400Skeleton(tmp_path / "root", "default").names == ["-a", "b"]
    assert Kinetics400Skeleton(tmp_path / "root", split="val").names == ["c"]


def test_persons_and_frames(tmp_path: Path) -> None:
    # The sixth person has the highest score, but only five are read; the order of frames is free.
    frames = frame(7, 0.1, 0.4, 0.3, 0.4, 0.2, 0.9), frame(3, 0.2), frame(5)
    files = {"a": write(tmp_path / "kinetics_val", "a", *frames)}
    dataset = Kinetics400Skeleton(tmp_path / "root", split="val", source=tmp_path)
    check(dataset, files)
    x = dataset[0].x.view(2, 18, 300, 3)
    assert x[..., 2].amax(dim=(1, 2)).tolist() == pytest.approx([0.4, 0.4], abs=1e-3)
    assert x.any(dim=3).any(dim=1).nonzero().tolist() == [[0, 3], [0, 7], [1, 7]]
    second, fourth = frames[0]["skeleton"][1], frames[0]["skeleton"][3]
    for slot, person in enumerate((second, fourth)):
        assert x[slot, 0, 7, 0] == np.float16(person["pose"][0])


ONE = frame(1, 0.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": [ONE]}, r"label_index is None, not a whole number"),
        ({"data": [ONE], "label_index": True}, r"label_index is True, not a whole number"),
        ({"data": [ONE], "label_index": 1.0}, r"label_index is 1.0, not a whole number"),
        ({"data": [ONE], "label_index": 400}, r"has label 400, but there are 400 classes"),
        ({"label_index": 0}, r"data is None, not a list"),
        ({"data": [3], "label_index": 0}, r"data\[0\] is 3, not an object"),
        ({"data": [ONE, {}], "label_index": 0}, r"data\[1\]: frame_index is None, not a whole"),
        ({"data": [{**ONE, "frame_index": -1}], "label_index": 0}, r"has frame_index -1; a clip"),
        ({"data": [{**ONE, "frame_index": 300}], "label_index": 0}, r"has frame_index 300"),
        ({"data": [{"frame_index": 1}], "label_index": 0}, r"data\[0\]: skeleton is None"),
        ({"data": [{**ONE, "skeleton": [0]}], "label_index": 0}, r"a person is 0, not an object"),
        (
            {"data": [{**ONE, "skeleton": [{"pose": [0] * 36}]}], "label_index": 0},
            r"data\[0\]: score is None, not numbers",
        ),
        (
            {"data": [{**ONE, "skeleton": [{"pose": [0] * 35, "score": [0] * 18}]}]}
            | {"label_index": 0},
            r"data\[0\]: pose is \[0, .*not 36 finite numbers",
        ),
        ({"data": [], "label_index": 0}, r"clip 'a' is empty: 2 persons, 300 frames"),
    ],
)
def test_a_damaged_file(tmp_path: Path, content: Any, message: str) -> None:
    file = write(tmp_path / "kinetics_train", "a")
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        Kinetics400Skeleton(tmp_path / "root", source=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value)) < 400
    assert list((tmp_path / "root").rglob("*.npy")) == []


def test_damaged_label_files(tmp_path: Path) -> None:
    write(tmp_path / "kinetics_train", "a", ONE)
    for text, message in (("[]", r"the file is \[\]"), ('{"a": 1}', r"entry 'a' is 1, not an obj")):
        (tmp_path / "kinetics_train_label.json").write_text(text)
        with pytest.raises(InputError, match=rf"kinetics_train_label.json: {message}"):
            Kinetics400Skeleton(tmp_path / "root", source=tmp_path)


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    file = write(tmp_path / "files", "a", ONE)
    source = tmp_path / "one/two/a.zip"
    source.parent.mkdir(parents=True)
    with zipfile.ZipFile(source, "w") as archive:
        archive.write(file, "../../kinetics_val/a.json")
    dataset = Kinetics400Skeleton(tmp_path / "one/two/root", split="val", source=source)
    assert dataset.names == ["a"]
    assert [*tmp_path.rglob("a.json")] == [file]


def test_without_files_the_message_says_where_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kinetics400-skeleton: no such folder; .*--source"):
        Kinetics400Skeleton(tmp_path)


def test_own_classes_in_this_format_are_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes = {3: "wave", 5: "air drumming", 9: "jump"}
    labels = [9, 3, 5, 3, 9, 5]
    for i, label in enumerate(labels):
        write(tmp_path / "own", f"c{i}", frame(1, 0.5), label=label, called=classes[label])
    dataset = Kinetics400Skeleton(tmp_path / "root", split="all", source=tmp_path / "own")
    assert dataset.classes == ["wave", "air drumming", "jump"]
    assert [dataset.classes[label] for label in dataset.labels] == [classes[i] for i in labels]
    assert "not those of Kinetics-400; its own 3 classes are used" in caplog.text
    assert "260232" not in caplog.text


def test_one_bad_file_of_own_data_is_left_out(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path / "own", f"c{i}", frame(1, 0.5), label=i % 2, called=["no", "yes"][i % 2])
    (tmp_path / "own/c5.json").write_text("{}")
    write(tmp_path / "own", "c4", frame(1, 0.5), label=0, called=None)
    write(tmp_path / "own", "c6", frame(1, 0.5), label=2, called=None)
    dataset = Kinetics400Skeleton(tmp_path / "root", split="all", source=tmp_path / "own")
    assert dataset.classes == ["no", "yes"]
    assert list(dataset.skipped) == ["c5", "c6"]
    assert "neither it nor another file has a label" in dataset.skipped["c6"]


def test_own_classes_that_contradict_each_other(tmp_path: Path) -> None:
    for i, called in enumerate(["wave", "wave", "nod"]):
        write(tmp_path / "own", f"c{i}", frame(1, 0.5), label=0, called=called)
    with pytest.raises(InputError, match=r"c2.json: has label 'nod' and label_index 0, but in .*"):
        Kinetics400Skeleton(tmp_path / "root", source=tmp_path / "own")
    write(tmp_path / "own", "c2", frame(1, 0.5), label=1, called="wave")
    with pytest.raises(InputError, match=r"two classes, 0 and 1, have the name 'wave'"):
        Kinetics400Skeleton(tmp_path / "root", source=tmp_path / "own")


def test_a_wrong_label_among_those_of_kinetics(tmp_path: Path) -> None:
    for i in range(20):
        write(tmp_path / "own", f"c{i:02}", frame(1, 0.5), called="wave" if i == 7 else "Abseiling")
    with pytest.raises(
        InputError, match=r"c07.json: has label 'wave' and label_index 0, which is 'abseiling'"
    ):
        Kinetics400Skeleton(tmp_path / "root", source=tmp_path / "own")


def test_another_number_of_clips_than_published_is_warned_of(
    shared_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = shared_data / "data/kinetics_skeleton"
    Kinetics400Skeleton(tmp_path, split="all", source=source)
    assert f"{source}: 5 clips, Kinetics-skeleton has 260232" in caplog.text


def test_pixels_in_this_format_are_refused(tmp_path: Path) -> None:
    for i in range(3):
        pixels = frame(1, 0.5)
        pixels["skeleton"][0]["pose"] = np.random.default_rng(i).uniform(50, 400, 36).tolist()
        write(tmp_path / "own", f"c{i}", pixels, called="wave")
    with pytest.raises(InputError, match=r"outside .*or divide x by its width and y by its height"):
        Kinetics400Skeleton(tmp_path / "root", source=tmp_path / "own")
    assert not list(tmp_path.rglob("*.npy"))
