from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.claim import claimed, never_began, prepare_folder
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.skeletons import get_skeleton


def run_in(folder: Path) -> Run:
    return Run(folder, TrainOptions.of(dataset="x.pkl"), get_skeleton("coco17"), ["a"], 3, {})


def test_a_new_folder_is_made_and_locked(tmp_path: Path) -> None:
    run = run_in(tmp_path / "runs" / "a")
    assert never_began(run.folder)
    with claimed(run, resume=False):
        assert run.folder.is_dir() and never_began(run.folder)
        prepare_folder(run)
        assert run.config_file.exists() and run.checkpoints.is_dir()
        assert not never_began(run.folder)


def test_another_process_holds_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyg_stgcn.runs.claim.PATIENCE", 0.1)
    run = run_in(tmp_path)
    code = (
        "import sys; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print(flush=True); input()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / ".lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with (
            pytest.raises(InputError, match="another training is running in this folder"),
            claimed(run, resume=False),
        ):
            pass
        process.kill()
    with claimed(run, resume=False):
        pass


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not overwrite")
    with (
        pytest.raises(InputError, match=r"is not empty; continue the run in it with .*--resume"),
        claimed(run_in(tmp_path), resume=False),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with (
        pytest.raises(InputError, match=r"thesis\.tex: is a file; name a folder"),
        claimed(run_in(tmp_path / "thesis.tex"), resume=True),
    ):
        pass


def test_a_started_run_is_only_resumed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with claimed(run, resume=False):
        prepare_folder(run)
    with pytest.raises(InputError, match="--resume"), claimed(run, resume=False):
        pass
    with claimed(run, resume=True):
        pass


def test_a_claim_alone_changes_nothing(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    with claimed(run, resume=False):
        prepare_folder(run)
    run.config_file.write_text("of another version")
    leftover = run.checkpoints / ".last.123.ckpt"
    leftover.touch()
    with claimed(run, resume=True):
        pass
    assert run.config_file.read_text() == "of another version" and leftover.exists()
    with claimed(run, resume=True):
        prepare_folder(run)
    assert run.config_file.read_text() != "of another version" and not leftover.exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"run: cannot be written \(Not a directory\)"),
        claimed(run_in(tmp_path / "file" / "run"), resume=False),
    ):
        pass


@pytest.mark.parametrize("name", ["notes.txt", ".config.x.json", "checkpoints/last.ckpt"])
def test_a_folder_with_something_else_is_no_beginning(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    assert not never_began(tmp_path) and not never_began(path)


@pytest.mark.parametrize(
    "names",
    [
        [],
        [".lock"],
        [".lock", ".config.4711.toml"],
        ["checkpoints/", ".config.4711.toml"],  # Earlier versions made this folder first.
    ],
    ids=str,
)
def test_what_a_training_leaves_before_its_configuration(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        path = tmp_path / name
        path.mkdir() if name.endswith("/") else path.touch()
    assert never_began(tmp_path)
