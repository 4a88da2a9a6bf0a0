from __future__ import annotations

import json
import os
import pickle
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.runs.config_file import load_config

SMALL = "--channels 2 --clip-frames 8 --epochs 1 --batch-size 12 --accelerator cpu"


def call(line: str) -> Result:
    return CliRunner().invoke(main, shlex.split(line))


def passed(line: str) -> str:
    result = call(line)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def folder(tiny_pickle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a pickle and one without splits."""
    content = pickle.loads(tiny_pickle.read_bytes())
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(content))
    bare = content["annotations"]
    for annotation in bare[:3]:
        del annotation["label"]
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps(bare))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_works_from_any_working_directory(folder: Path) -> None:
    passed(f"train --dataset mine.pkl --eval-views 1 --out first {SMALL}")
    passed(f"train --dataset mine.pkl --init first --eval-views 1 --out second {SMALL}")
    options = load_config(folder / "second/config.toml")[0].flat()
    assert [options[name] for name in ("dataset", "init")] == [
        str(folder / "mine.pkl"),
        str(folder / "first"),
    ]
    os.chdir(folder / "elsewhere")
    passed("evaluate ../second --views 1")
    passed("evaluate ../second --views 1 --corruption severe")
    passed("fuse ../first ../second --out fused")
    passed("inspect ../second")
    passed("export ../second --out sparse.safetensors")
    (folder / "second/summary.json").unlink()
    passed("train --resume --out ../second")
    # What is typed on the command line is relative to where it is typed.
    (folder / "second/summary.json").unlink()
    passed("train --resume --dataset ../mine.pkl --out ../second")
    (folder / "second/summary.json").unlink()
    result = call("train --resume --init ../elsewhere --out ../second")
    assert result.exit_code == 2 and "--init" in result.output


def test_studies_work_from_any_working_directory(folder: Path) -> None:
    sweep = f"sweep --sparsities 0 --seeds 0 --eval-views 1 {SMALL}"
    (line,) = passed(f"{sweep} --dataset mine.pkl --out out --print-commands").splitlines()
    words = shlex.split(line)
    assert str(folder / "mine.pkl") in words and str(folder / "out/dense-seed0") in words
    os.chdir(folder / "elsewhere")
    passed(shlex.join(words[1:]))
    assert (folder / "out/dense-seed0/summary.json").exists()
    # The same sweep from here: nothing is left to train.
    passed(f"{sweep} --dataset ../mine.pkl --out ../out")
    assert (folder / "out/sweep.json").exists()
    assert list((folder / "elsewhere").iterdir()) == []


def test_a_sweep_does_not_mix_data(folder: Path) -> None:
    sweep = f"sweep --dataset mine.pkl --sparsities 0 --eval-views 1 --out out {SMALL}"
    (line,) = passed(f"{sweep} --seeds 0 --print-commands").splitlines()
    passed(line.removeprefix("pyg-stgcn "))
    content = pickle.loads((folder / "mine.pkl").read_bytes())
    content["meta"]["classes"].reverse()
    (folder / "mine.pkl").write_bytes(pickle.dumps(content))
    (line,) = passed(f"{sweep} --seeds 0 1 --print-commands").splitlines()
    passed(line.removeprefix("pyg-stgcn "))
    result = call(f"{sweep} --seeds 0 1")
    assert result.exit_code == 1
    assert "on other data than" in result.output and "the order of the classes" in result.output


def test_lists_are_trained_on_and_evaluated(folder: Path) -> None:
    options = "--dataset bare.pkl --skeleton chain.json --out run"
    chain = {"name": "chain", "joints": [f"joint{i}" for i in range(5)], "center": 2}
    chain["bones"] = [[1, 0], [2, 1], [3, 2], [4, 3]]
    (folder / "chain.json").write_text(json.dumps(chain))
    result = call(f"train {options} {SMALL}")
    assert result.exit_code == 1 and not (folder / "run").exists()
    assert "--val-split 0.2" in result.output and "--val FILE" in result.output
    result = call(f"train {options} --val-split 0.2 --val mine.pkl {SMALL}")
    assert result.exit_code == 2 and "exclude each other" in result.output
    passed(f"train {options} --val-split 0.2 --eval-views 1 {SMALL}")
    found = json.loads(passed("evaluate run --views 1 --split all --json"))
    assert (found["clips"], found["unlabelled"]) == (54, 3)
    shown = passed("evaluate run --views 1 --dataset mine.pkl --split train")
    for kind in ("evaluation", "predictions", "confusion"):
        assert f"run/{kind}-mine-train." in shown
    info = passed("datasets info bare.pkl --skeleton chain.json")
    assert "without a label" in info


def test_info_shows_every_split(folder: Path) -> None:
    content = pickle.loads((folder / "mine.pkl").read_bytes())
    names = [annotation["frame_dir"] for annotation in content["annotations"]]
    content["split"] = {"train": names[:20], "val": names[20:30], "test": names[30:37]}
    content["split"] |= {"testA": names[37:41], "test1": names[41:46]}
    (folder / "mine.pkl").write_bytes(pickle.dumps(content))
    lines = [line.split() for line in passed("datasets info mine.pkl").splitlines()]
    sizes = {"train": "20", "val": "10", "test": "7", "testA": "4", "test1": "5"}
    for split, size in sizes.items():
        assert ["split", split, size] in lines
    assert ["default,", "test", "7"] in lines
