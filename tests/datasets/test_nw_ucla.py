from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import NWUCLA
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

NAMES = ["a01_s01_e00_v01", "a07_s01_e00_v01", "a12_s10_e05_v02", "a08_s03_e01_v03"]
GOOD = [NAMES[0], NAMES[2], NAMES[3]]

# The joints of the first Kinect, in the order in which its programs number them.
SENSOR = (
    *("hip_center", "spine", "shoulder_center", "head"),
    *("left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    *("right_shoulder", "right_elbow", "right_wrist", "right_hand"),
    *("left_hip", "left_knee", "left_ankle", "left_foot"),
    *("right_hip", "right_knee", "right_ankle", "right_foot"),
)


def skeletons_of(name: str) -> np.ndarray:
    rng = np.random.default_rng(list(name.encode()))
    return rng.normal(size=(int(rng.integers(2, 7)), 20, 3)).round(4)


def write(folder: Path, name: str, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"file_name": name, "skeletons": skeletons_of(name).tolist(), "label": 1}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({**content, **changes}))
    return file


def check(dataset: NWUCLA, names: list[str]) -> None:
    assert dataset.names == names
    for data in dataset:
        skeletons = skeletons_of(data.name)
        for joint, name in enumerate(dataset.skeleton.joints):
            assert np.array_equal(data.x[joint], skeletons[:, SENSOR.index(name)].astype("f4"))


def test_files_in_a_folder(tmp_path: Path) -> None:
    for name in GOOD:
        write(tmp_path / "raw/nw-ucla", name)
    dataset = NWUCLA(tmp_path, split="all")
    check(dataset, sorted(GOOD))
    assert dataset.skeleton == get_skeleton("kinect20")
    assert dataset.labels.tolist() == [0, 6, 9]
    assert [dataset.classes[label] for label in dataset.labels] == [
        "pick up with one hand",
        "donning",
        "carry",
    ]
    assert dataset.benchmarks == ("xview",)
    assert NWUCLA(tmp_path, "xview", "train").names == [GOOD[0], GOOD[1]]
    assert NWUCLA(tmp_path, "xview", "val").names == [GOOD[2]]


def test_files_in_an_archive(tmp_path: Path) -> None:
    source = tmp_path / "all_sqe.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name in GOOD:
            archive.write(write(tmp_path / "all_sqe", name), f"all_sqe/{name}.json")
        archive.writestr(f"__MACOSX/all_sqe/._{GOOD[0]}.json", b"\0")
    check(NWUCLA(tmp_path / "root", split="all", source=source), sorted(GOOD))


def test_copies_of_training_clips_are_found_and_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "all_sqe"
    train = write(source, GOOD[0])
    (source / "a01_s01_e00_v03.json").write_bytes(train.read_bytes())
    write(source, GOOD[2])
    with caplog.at_level(logging.WARNING):
        dataset = NWUCLA(tmp_path / "root", split="val", source=source)
    assert "1 validation clips of benchmark xview are exact copies" in caplog.text
    assert dataset.leaks("xview") == ["a01_s01_e00_v03"]
    kept = NWUCLA(tmp_path / "root", split="val", source=source, drop_leaks=True)
    assert kept.names == [GOOD[2]]


@pytest.mark.parametrize(
    "name", [NAMES[1], "a1_s1_e0_v1", "a01_s01_e00_v04", "a01_s01_e00_v01 copy", "label"]
)
def test_other_names(tmp_path: Path, name: str) -> None:
    write(tmp_path / "all_sqe", name)
    with pytest.raises(InputError, match=rf"{name}.json: '{name}' is not in the format aAA_sSS_"):
        NWUCLA(tmp_path / "root", source=tmp_path / "all_sqe")


def no_skeletons(file: Path) -> None:
    file.write_text('{"label": 1}')


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda file: file.write_text("[1"), r"is no JSON \(Expecting"),
        (lambda file: file.write_text("[" * 100_000), r"is no JSON \(maximum recursion"),
        (lambda file: file.write_bytes(b"\xff\xfe{"), r"is no JSON \("),
        (lambda file: file.write_text("[1]"), r"the file is \[1\], not an object"),
        (no_skeletons, r"skeletons is None, not numbers"),
    ],
)
def test_a_damaged_file(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    file = write(tmp_path / "all_sqe", GOOD[0])
    harm(file)
    with pytest.raises(InputError, match=rf"^{file}: {message}"):
        NWUCLA(tmp_path / "root", source=tmp_path / "all_sqe")
    assert list((tmp_path / "root").rglob("*.npy")) == []


@pytest.mark.parametrize(
    ("skeletons", "message"),
    [
        ([], r"is \[\], not anyx20x3 finite numbers"),
        ([[[1, 2, 3]] * 19], r"not anyx20x3 finite numbers"),
        ([[[1, 2, 3]] * 20, [[1, 2, 3]] * 19], r"not anyx20x3 finite numbers"),
        ([[[1, 2, None]] * 20], r", not numbers"),
        ([[["1", "2", "3"]] * 20], r", not numbers"),
        ([[[1, 2, 10**400]] * 20], r", not numbers"),
        ([[[True, True, True]] * 20], r", not numbers"),
        ([[[1, 2, float("nan")]] * 20], r"not anyx20x3 finite numbers"),
        ([[[0, 0, 0]] * 20], r"clip 'a01_s01_e00_v01' is empty"),
    ],
)
def test_wrong_skeletons(tmp_path: Path, skeletons: Any, message: str) -> None:
    write(tmp_path / "all_sqe", GOOD[0], skeletons=skeletons)
    with pytest.raises(InputError, match=message) as caught:
        NWUCLA(tmp_path / "root", source=tmp_path / "all_sqe")
    assert len(str(caught.value)) < 400


def test_without_files_the_message_says_where_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nw-ucla: no such folder; put all_sqe.zip .*--source"):
        NWUCLA(tmp_path)
