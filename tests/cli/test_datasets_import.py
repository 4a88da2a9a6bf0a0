from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pyg_stgcn.cli import main
from pyg_stgcn.datasets import SkeletonPickle


def call(folder: Path, *words: object) -> Result:
    options = ["--out", folder.parent / "mine.pkl", "--image-size", "480x640", *words]
    return CliRunner().invoke(main, ["datasets", "import", str(folder), *map(str, options)])


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    write_openpose: Callable[..., None],
    make_poses: Callable[..., np.ndarray[Any, Any]],
) -> Path:
    folder = tmp_path_factory.mktemp("import") / "poses"
    for seed, name in enumerate(["walk/a", "walk/b", "wave/c", "wave/d", "wave/e"]):
        write_openpose(folder / name, make_poses(seed, persons=1 + 2 * (name == "wave/e")))
    return folder


def test_poses_are_imported_looked_at_and_trained_on(folder: Path) -> None:
    result = call(folder, "--split", 0.4)
    assert result.exit_code == 0, result.output
    out, text = folder.parent / "mine.pkl", " ".join(result.stdout.split())
    assert "openpose25 (25 joints)" in text
    assert "default, train 3 default, val 2" in text
    assert "1 recording with more persons than were kept" in text
    assert f"train with: pyg-stgcn train --dataset {out} --out runs/mine" in text
    with Image.open(out.with_suffix(".png")) as figure:
        assert np.asarray(figure.convert("L")).std() > 10
    ready = CliRunner().invoke(main, ["train", "--dataset", str(out), "--print-config"])
    assert ready.exit_code == 0 and 'benchmark = "default"' in ready.stdout
    assert "small data (3 clips)" in ready.stderr


def test_json_lists_all_that_was_skipped(folder: Path, tmp_path: Path) -> None:
    labels, figure = tmp_path / "labels.csv", tmp_path / "classes.pdf"
    labels.write_text("name,label\na,1\nb,2\nc,1\nzz,1\n")
    words = ["--labels", labels, "--figure", figure, "--per-person", "--to", "coco17"]
    result = call(folder, *words, "--json")
    found = json.loads(result.stdout)
    assert [row["name"] for row in found["skipped"]] == ["wave/d", "wave/e", "zz"]
    assert found["classes"] == ["1", "2"] and figure.stat().st_size > 0
    assert SkeletonPickle(folder.parent / "mine.pkl", split="all").names == [
        "walk/a#0",
        "walk/b#0",
        "wave/c#0",
    ]
    text = call(folder, *words, "--skip-bad").stdout
    assert "wave/d, wave/e" in text and "there is no such recording" in text
    assert "train with: pyg-stgcn train" in text and "--val-split 0.2" in text


def test_clips_of_one_recording_are_not_to_be_divided(folder: Path) -> None:
    text = call(folder, "--per-person").stdout
    assert "train with" not in text and "import again with --split 0.2: 1 recording with" in text
    assert "train with: pyg-stgcn train" in call(folder, "--per-person", "--split", 0.4).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "mine.npy"], "ends in .pkl; write mine.pkl"),
        (["--out", "nowhere/mine.pkl"], "there is no folder nowhere"),
        (["--figure", "mine.txt"], "ends in .pdf"),
        (["--to", "coco18"], "coco17"),
        (["--split-by", "["], "--split-by: '[' is no regular expression"),
        (["--split-by", "zzz"], "--split-by: 'zzz' finds no group in 5 names of 5"),
        (["--strict", "--skip-bad"], "--strict stops at a bad recording"),
        (["--labels", "nowhere.csv"], "nowhere.csv: there is no such file"),
        (["--to", "ntu25"], "no recording can be used"),
    ],
)
def test_a_mistake_is_one_error(
    folder: Path, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        main,
        ["datasets", "import", str(folder), "--image-size", "480x640", "--out", "m.pkl", *words],
    )
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit)
    assert message in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


def test_what_is_no_folder_of_poses(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, message in {"nowhere": "is not a folder", "empty": "is empty"}.items():
        result = call(tmp_path / name)
        assert result.exit_code == 1 and message in result.stderr
