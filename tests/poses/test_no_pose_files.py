"""What is no pose file is called by its name, with what to do."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import list_recordings, open_poses


def zip_to(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", "[]")


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a.json": (lambda path: path.write_text(json.dumps({"a": 1})), "is JSON, not a pose file"),
    "b.json": (
        lambda path: path.write_text(json.dumps({"joints": ["a"], "bones": []})),
        "is the JSON of a skeleton, .*name it with --skeleton",
    ),
    "empty.json": (lambda path: path.touch(), "is empty, not a pose file; fetch it again"),
    "notes.txt": (lambda path: path.write_text("Shoot again.\n"), "not a pose file of a known"),
    "labels.csv": (
        lambda path: path.write_text("name,label\nwalk,3\n"),
        "is a table in a text file, .* names the joints",
    ),
    "page.json": (lambda path: path.write_text("<!doctype html>"), "is a web page"),
    "image.png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9)), "is an image"),
    "best.pt": (lambda path: torch.save({"a": torch.zeros(2)}, path), "is a checkpoint of PyTorch"),
    "model.safetensors": (
        lambda path: safetensors.numpy.save_file({"a": np.zeros(2)}, path),
        "is a safetensors file of weights",
    ),
    "poses.zip": (zip_to, "is a zip archive, .*unpack it and name what is in it"),
    "poses.json.gz": (
        lambda path: path.write_bytes(gzip.compress(b"[]")), "is compressed with gzip, .*gunzip"
    ),
    "S001.skeleton": (
        lambda path: path.write_text("1\n1\n72057594037931101 0 1 1 0 1 0 -0.027 0.057 2\n25\n"),
        "is a .skeleton file of NTU .* as dataset ntu60",
    ),
    "table.parquet": (lambda path: path.write_bytes(b"PAR1" + bytes(9)), "Parquet.*numpy.save"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_other_files(tmp_path: Path, name: str) -> None:
    write, message = CASES[name]
    path = tmp_path / name
    write(path)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}") as caught:
        open_poses(path)
    assert len(str(caught.value)) < 700
    with pytest.raises(InputError, match="contains no pose file, only"):
        list_recordings(tmp_path)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("mmaction2_pickles/joint.pkl", r"PyTorch tensors: convert them with \.numpy\(\)"),
        ("mmaction2_pickles/sample.pkl", "the index of a dataset whose joints are in other files"),
        ("jhmdb_pickle/GT_train_1_every30th.pkl", "15 joints in 2-D, whose layout cannot be told"),
    ],
)
def test_genuine_pickles_of_other_programs(shared_data: Path, file: str, message: str) -> None:
    path = shared_data / "data/poses" / file
    with pytest.raises(InputError, match=rf"^{path}: .*{message}"):
        open_poses(path)
