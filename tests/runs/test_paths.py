from __future__ import annotations

from pathlib import Path

import pytest

from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.paths import absolute_options, is_file, with_absolute_paths, with_root


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_files_and_names_of_datasets(tmp_path: Path) -> None:
    assert is_file("missing.pkl") and is_file("a/b.pickle")
    assert not is_file("ntu60") and not is_file("nut60") and not is_file(None)
    (tmp_path / "nut60").touch()
    assert is_file("nut60")
    (tmp_path / "ntu60").touch()
    assert not is_file("ntu60")  # The name of the dataset comes first.


def test_relative_paths_become_absolute(tmp_path: Path) -> None:
    given = {"dataset": "a.pkl", "root": "data", "val": "../b.pkl", "init": "runs/./a", "lr": 0.1}
    assert absolute_options(given) == {
        "dataset": f"{tmp_path}/a.pkl",
        "root": f"{tmp_path}/data",
        "val": f"{tmp_path.parent}/b.pkl",
        "init": f"{tmp_path}/runs/a",
        "lr": 0.1,
    }


def test_names_stay_names(tmp_path: Path) -> None:
    given = {"dataset": "ntu60", "class_weights": "balanced", "skeleton": "coco17", "root": None}
    assert absolute_options(given) == given
    files = {"class_weights": "w.csv", "skeleton": "mine.json"}
    assert absolute_options(files) == {n: f"{tmp_path}/{path}" for n, path in files.items()}


def test_named_datasets_have_a_default_root(tmp_path: Path) -> None:
    assert with_root({"dataset": "ntu60"})["root"] == f"{tmp_path}/data"
    assert with_root({"dataset": "ntu60", "root": "/d"})["root"] == "/d"
    assert "root" not in with_root({"dataset": "a.pkl"})


def test_options_mean_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = with_absolute_paths(TrainOptions.of(dataset="a.pkl", ticket="t.safetensors"))
    monkeypatch.chdir("/")
    assert with_absolute_paths(options) == options
    assert options.sparsity.ticket == f"{tmp_path}/t.safetensors"
    assert options.data.root is None
