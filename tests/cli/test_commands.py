from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.runs.config_file import load_config


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def failed(result: Result, code: int) -> str:
    """The message of a command that failed without a traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def run(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sparse"
    words = options(tiny_pickle, folder)
    result = call(*words, "--sparsity", 0.9, "--figure", folder.parent / "curves.pdf")
    assert result.exit_code == 0, result.output
    assert "top-1" in result.stdout and str(folder / "curves.png") in result.stdout
    assert (folder.parent / "curves.pdf").read_bytes().startswith(b"%PDF")
    return folder


def options(dataset: Path | str, out: Path) -> list[object]:
    root = out.parent / "data"
    size: dict[str, object] = {"--channels": 4, "--clip-frames": 12, "--epochs": 2}
    size |= {"--batch-size": 12, "--eval-views": 1, "--accelerator": "cpu"}
    flat = [word for pair in size.items() for word in pair]
    return ["train", "--dataset", dataset, "--root", root, "--out", out, *flat]


def write_pickle(path: Path, tiny_pickle: Path, **changes: Any) -> Path:
    content = pickle.loads(tiny_pickle.read_bytes())
    content["annotations"][0] |= changes
    path.write_bytes(pickle.dumps(content))
    return path


def test_help_names_every_command() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name in ("train", "evaluate", "inspect", "datasets", "demo"):
        assert name in result.output
        assert call(name, "--help").exit_code == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pyg_stgcn.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'matplotlib', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def kept_percentages(content: dict[str, Any]) -> list[str]:
    """Kept fractions of the maskable weights and of all parameters, in percent."""
    maskable = content["maskable_kept"] / content["params_maskable"]
    return [f"{100 * maskable:.2f} %", f"{100 * content['params_kept_fraction']:.2f} %"]


def test_evaluate(run: Path, tmp_path: Path) -> None:
    figure = tmp_path / "confusion.svg"
    result = call("evaluate", run, "--views", 3, "--json", "--figure", figure)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["views"] == 3 and content["clips"] == 18
    assert 0 <= content["top1"] <= content["top5"] <= 1
    assert Path(content["confusion_png"]).read_bytes().startswith(b"\x89PNG")
    assert "predicted class" in figure.read_text(encoding="utf-8")
    text = call("evaluate", run).stdout
    assert "mean class" in text
    summary = json.loads((run / "summary.json").read_text())
    assert content["maskable_kept"] == summary["maskable_kept"]
    assert all(kept in text for kept in kept_percentages(summary))


def test_evaluate_with_dropped_frames(run: Path, tmp_path: Path) -> None:
    figure = tmp_path / "robustness.pdf"
    words = ["--corruption", "all", "--json", "--figure", figure]
    result = call("evaluate", run, "--views", 1, *words)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert len(content["rows"]) == 1 + 5 * 3 and content["clips"] == 18
    assert Path(content["robustness_png"]) == run / "robustness.png"
    assert figure.read_bytes().startswith(b"%PDF")
    options = ["--corruption", 0.6, "--mode", "block", "--repair", "interpolate"]
    result = call("evaluate", run, "--views", 1, *options)
    assert result.exit_code == 0, result.output
    assert "60 %" in result.stdout and "repair: interpolate" in result.stdout
    assert str(run / "robustness-0.6-block-interpolate.csv") in result.stdout
    assert all(kept in result.stdout for kept in kept_percentages(content))


def test_evaluate_with_dropped_frames_is_used_wrongly(run: Path) -> None:
    def message(*words: object) -> str:
        return failed(call("evaluate", run, *words), 2)

    assert "minor, moderate, severe" in message("--corruption", "heavy")
    assert "or 'all'" in message("--corruption", 1.5)
    assert "--mode needs --corruption" in message("--mode", "block")
    assert "--repair needs --corruption" in message("--repair", "interpolate")
    assert "every --mode" in message("--corruption", "all", "--mode", "block")
    assert "periodic" in message("--corruption", "severe", "--mode", "gaps")


def test_inspect(run: Path) -> None:
    content = json.loads(call("inspect", run, "--json").stdout)
    layers = content["layers"]
    assert sum(layer["kept"] for layer in layers) == content["maskable_kept"]
    assert content["sparsity"] == pytest.approx(0.9, abs=1 / content["params_maskable"])
    result = call("inspect", run)
    assert "dead rows" in result.stdout
    empty = [layer["name"] for layer in layers if layer["kept"] == 0]
    assert empty == content["empty"]
    assert all(f"{name} keeps no weights" in result.stderr for name in empty)


def test_datasets(tiny_pickle: Path, tmp_path: Path) -> None:
    named = json.loads(call("datasets", "list", "--json").stdout)
    assert {"utd-mhad", "synthetic", "ntu60", "ntu120"} <= named.keys()
    assert "synthetic" in call("datasets", "list").stdout
    info = json.loads(call("datasets", "info", tiny_pickle, "--root", tmp_path, "--json").stdout)
    assert info["clips"] == 54 and info["persons"] == {"1": 36, "2": 18}
    assert info["benchmarks"] == {"xsub": {"train": 36, "val": 18}}
    assert sum(info["clips_per_class"]) == 54
    assert "xsub" in call("datasets", "prepare", tiny_pickle, "--root", tmp_path).stdout


def test_a_named_dataset_from_a_source(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    annotations = [
        {
            "frame_dir": f"S001C{camera:03}P001R001A{action:03}",
            "label": action - 1,
            "keypoint": rng.normal(size=(1, 20, 25, 3)).astype(np.float16),
        }
        for camera in (1, 2, 3)
        for action in (1, 50, 60)
    ]
    source = tmp_path / "annotations.pkl"
    source.write_bytes(pickle.dumps({"annotations": annotations}))
    train = options("ntu60", tmp_path / "run")
    result = call(*train, "--source", source, "--benchmark", "xview", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["run"], told["benchmark"]) == (str(tmp_path / "run"), "xview")
    empty = tmp_path / "empty"
    empty.mkdir()
    train = options("ntu60", tmp_path / "other")
    assert f"{empty}: holds no .skeleton file" in failed(call(*train, "--source", empty), 1)


def test_wrong_usage_is_exit_code_2(tiny_pickle: Path, tmp_path: Path) -> None:
    train = options(tiny_pickle, tmp_path / "run")
    assert "--dataset" in failed(call("train"), 2)
    assert "1.2" in failed(call(*train, "--sparsity", 1.2), 2)
    assert "stgcn" in failed(call(*train, "--backbone", "resnet"), 2)
    assert "utd-mhad" in failed(call(*options("no-such-dataset", tmp_path / "run")), 2)
    assert "bone-motion" in failed(call(*train, "--stream", "muscle"), 2)
    assert "'xview'; it has xsub" in failed(call(*train, "--benchmark", "xview"), 2)
    assert "spatial" in failed(call(*train, "--graph", "spiral"), 2)
    answer = failed(call(*train, "--augment", "flip"), 2)
    assert "--augment" in answer and "mirror=0.5, crop=0.5" in answer
    assert "give 0 to 1" in failed(call(*train, "--augment", "mirror=3"), 2)
    assert "--out" in failed(call("train", "--resume"), 2)
    assert not (tmp_path / "run").exists()


def test_wrong_data_is_exit_code_1(tiny_pickle: Path, tmp_path: Path) -> None:
    def message(dataset: object, *more: object) -> str:
        return failed(call(*options(str(dataset), tmp_path / "run"), *more), 1)

    assert "nowhere.pkl" in message(tmp_path / "nowhere.pkl")
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(b"cos\nsystem\n(S'touch /tmp/pyg-stgcn-was-here'\ntR.")
    assert "os.system" in message(evil) or "posix.system" in message(evil)
    keypoint = pickle.loads(tiny_pickle.read_bytes())["annotations"][0]["keypoint"]
    keypoint[0, 3, 2] = float("nan")
    one = write_pickle(tmp_path / "nan.pkl", tiny_pickle, keypoint=keypoint)
    answer = message(one, "--strict")
    assert "clip00" in answer and "joint" in answer
    empty = write_pickle(tmp_path / "empty.pkl", tiny_pickle, keypoint=keypoint[:, :0])
    assert "clip00" in message(empty, "--strict")
    answer = message(tiny_pickle, "--skeleton", "coco17")
    assert "17" in answer and "5" in answer
    zipped = tmp_path / "Skeleton.zip"
    zipped.write_bytes(b"PK\x03\x04 truncated")
    assert "Skeleton.zip" in message("utd-mhad", "--source", zipped)
    assert not (tmp_path / "run").exists()


def test_folders_that_hold_no_run(tmp_path: Path) -> None:
    for command in ("evaluate", "inspect"):
        assert "config.toml" in failed(call(command, tmp_path), 1)
        assert "no such folder" in failed(call(command, tmp_path / "nowhere"), 1)


def test_a_second_run_does_not_overwrite_the_first(tiny_pickle: Path, run: Path) -> None:
    before = (run / "summary.json").read_bytes()
    assert "--resume" in failed(call(*options(tiny_pickle, run)), 1)
    assert "finished" in failed(call("train", "--resume", "--out", run), 2)
    assert (run / "summary.json").read_bytes() == before


def test_augmentations_are_kept_and_resumed(tiny_pickle: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    augment = ["--augment", "crop", "--augment", "noise=0.02", "--augment", "frame-loss"]
    result = call(*options(tiny_pickle, run), *augment)
    assert result.exit_code == 0, result.output
    expected = {"crop": 0.5, "noise": 0.02, "frame-loss": 0.25}
    assert load_config(run / "config.toml")[0].data.augment == expected
    (run / "summary.json").unlink()
    assert "noise" in failed(call("train", "--resume", "--out", run, "--augment", "noise"), 2)
    assert "--lr 0.3" in failed(call("train", "--resume", "--out", run, "--lr", 0.3), 2)
    again = call("train", "--resume", "--out", run, *augment)
    assert again.exit_code == 0, again.output
    assert (run / "summary.json").exists()
    assert load_config(run / "config.toml")[0].data.augment == expected


def test_a_mirror_needs_pairs(tiny_pickle: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert "'pairs'" in failed(call(*options(tiny_pickle, run), "--augment", "mirror"), 1)
    assert not run.exists()


def test_demo_does_not_show_another_run_as_its_own(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "demo" / "dense-seed0")
    message = failed(call("demo", "--out", tmp_path / "demo", "--root", tmp_path / "data"), 1)
    assert "dense-seed0" in message and "not synthetic" in message
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_output(tiny_pickle: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("locked").mkdir(mode=0o500)
    out = tmp_path / "locked" / "run"
    result = call(*options(tiny_pickle, out), "--root", tmp_path / "data")
    assert "cannot be written" in failed(result, 1)


def test_an_unwritable_output_is_named(tiny_pickle: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    result = call(*options(tiny_pickle, blocker / "run"), "--root", tmp_path / "data")
    assert f"{blocker / 'run'}: cannot be written" in failed(result, 1)
