from __future__ import annotations

import io
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.predictions import Predictions

NO_CLIPS = {"names": np.array([], str), "labels": np.array([], int)}


def npz(path: Path, **arrays: Any) -> None:
    names, labels = np.array(["a", "b"]), np.array([0, 1])
    whole = {"names": names, "labels": labels, "probabilities": np.eye(2, dtype=np.float32)}
    whole["num_views"] = np.array(10)
    np.savez_compressed(path, **{k: v for k, v in (whole | arrays).items() if v is not None})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": np.array([1, 2])}, "names is an array of int64"),
        ({"names": np.array(["a"])}, "1 names and 2 labels do not match 2 rows"),
        ({"labels": np.array([0.0, 1.0])}, "labels is an array of float64"),
        ({"labels": np.array([0, 2])}, "labels from 0 to 2 are not all among 2 classes"),
        ({"labels": np.array([-2, 1])}, "labels from -2 to 1"),
        ({"probabilities": np.eye(2, dtype=int)}, "probabilities is an array of int64"),
        ({"probabilities": np.ones(2)}, "with 1 dimensions"),
        ({"probabilities": np.array([[0.5, 0.5], [np.nan, 1]])}, "not zero or more"),
        ({"probabilities": np.array([[0.5, 0.5], [-1, 2]])}, "not zero or more"),
        ({"probabilities": np.array([[0.5, 0.5], [1, 1]])}, "not zero or more with a sum of one"),
        (
            {"probabilities": np.zeros((0, 2)), **NO_CLIPS},
            "do not match",
        ),
        ({"probabilities": None}, "holds .*not"),
        ({"num_views": None}, "holds .*not"),
        ({"num_views": np.array(0)}, "0 views of each clip"),
        ({"num_views": np.array([1, 2])}, "num_views is an array of int64 with 1 dim"),
        ({"more": np.zeros(3)}, "holds .*'more'"),
        ({"names": np.array([{}, []], object)}, "names is an array of object"),
    ],
)
def test_predictions_that_are_none(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "predictions.npz"
    npz(path)
    assert Predictions.load(path).probabilities.tolist() == [[1, 0], [0, 1]]
    npz(path, **arrays)
    with pytest.raises(InputError, match=rf"{path}: damaged \(.*{message}.*; write it with"):
        Predictions.load(path)


def npy(shape: tuple[int, ...], data: bytes) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\0" + (118).to_bytes(2, "little") + f"{header:<117}\n".encode() + data


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy((10**9, 10**9), b""), "does not fill its"),
        (npy((2, 2), bytes(15)), "does not fill its"),
        (npy((2**28, 1), bytes(2**28)), "would take .* bytes of memory, more than"),
        (b"\x93NUMPY\x01\0v\0{(".ljust(128), "damaged"),
        (b"", "damaged"),
    ],
    ids=["huge", "short", "bomb", "header", "empty"],
)
def test_predictions_take_no_more_memory_than_they_deserve(
    tmp_path: Path, member: bytes, message: str
) -> None:
    path = tmp_path / "predictions.npz"
    npz(path, probabilities=None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("probabilities.npy", member)
    del member
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=f"predictions.npz: .*{message}"):
        Predictions.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_texts_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    npz(path)
    with zipfile.ZipFile(path) as archive:
        names = io.BytesIO(archive.read("names.npy"))
    array = np.load(names).view(np.uint32)
    for letter in (0x110000, 0xD800):
        array[0] = letter
        npz(path, names=array.view("<U1"))
        with pytest.raises(InputError, match="damaged"):
            Predictions.load(path)


def test_round_trip(tmp_path: Path) -> None:
    probabilities = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]], np.float32)
    saved = Predictions(np.array(["a", "bé", "日本"]), np.array([1, 0, 1]), probabilities, 10)
    saved.save(tmp_path / "predictions-best.npz")
    found = Predictions.load(tmp_path / "predictions-best.npz")
    assert found.num_views == 10
    for name in ("names", "labels", "probabilities"):
        one, other = getattr(found, name), getattr(saved, name)
        assert one.dtype == other.dtype and one.tolist() == other.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["predictions-best.npz"]


def test_predictions_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path}: no predictions\.npz; write it with"):
        Predictions.load(tmp_path / "predictions.npz")
    (tmp_path / "predictions.npz").mkdir()
    with pytest.raises(InputError, match="is not a file; remove it"):
        Predictions.load(tmp_path / "predictions.npz")
