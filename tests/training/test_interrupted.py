from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from pyg_stgcn.cli import main
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.runs.checkpoint import AtomicCheckpointIO, read_checkpoint
from pyg_stgcn.runs.claim import claimed, never_began
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.runner import train

WaitFor = Callable[[Callable[[], object]], None]
EPOCHS = 5


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path_factory.mktemp("data")),
        channels=2,
        clip_frames=8,
        epochs=EPOCHS,
        batch_size=12,
        sparsity=0.5,
        eval_views=1,
        accelerator="cpu",
    )


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def undisturbed(config: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    train(config, folder)
    return folder


@pytest.fixture(scope="module")
def cut_off(config: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its fourth epoch."""
    folder = tmp_path_factory.mktemp("runs") / "cut-off"

    def stop(recognizer: ActionRecognizer) -> None:
        if recognizer.current_epoch == 3:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ActionRecognizer, "on_train_epoch_start", stop)
        train(config, folder)
    return folder


@pytest.fixture
def run(cut_off: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(cut_off, tmp_path / "run"))


def assert_same_weights(found: Path, expected: Path) -> None:
    one, other = (load_file(folder / "model.safetensors") for folder in (found, expected))
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def test_two_checkpoints_are_kept(run: Run) -> None:
    epochs = [
        read_checkpoint(path, "")["epoch"]
        for path in (run.last_checkpoint, run.previous_checkpoint)
    ]
    assert epochs == [2, 1]


def test_a_run_that_was_moved_knows_what_was_best(
    cut_off: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is a copy in another folder; all epochs that follow are worse."""
    validated = ActionRecognizer.on_validation_epoch_end

    def worse(recognizer: ActionRecognizer) -> None:
        validated(recognizer)
        recognizer.log("selection", -2.0, logger=False)

    monkeypatch.setattr(ActionRecognizer, "on_validation_epoch_end", worse)
    best = run.best_checkpoint.read_bytes()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The dirpath has changed")
        train(run.config, run.folder, resume=True)
    assert run.best_checkpoint.read_bytes() == best
    assert (cut_off / "checkpoints" / "best.ckpt").read_bytes() == best


def test_two_checkpoints_are_kept_in_a_relative_folder(
    config: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train(config.replace(epochs=2), "run")
    found = sorted(path.name for path in Path("run/checkpoints").iterdir())
    assert found == ["best.ckpt", "last.ckpt", "previous.ckpt"]


def test_a_damaged_checkpoint_is_named_and_the_one_before_goes_on(
    run: Run, undisturbed: Path
) -> None:
    content = bytearray(run.last_checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    run.last_checkpoint.write_bytes(content)
    message = (
        rf"last\.ckpt: damaged, its checksum differs; delete the file, and 'pyg-stgcn train "
        rf"--resume --out {run.folder}' continues from previous\.ckpt"
    )
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    # Of another version, which a resumed run would replace by that of now.
    before[run.config_file] = before[run.config_file].replace(b'torch = "', b'torch = "0.')
    run.config_file.write_bytes(before[run.config_file])
    with pytest.raises(InputError, match=message):
        train(run.config, run.folder, resume=True)
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    run.last_checkpoint.unlink()
    train(run.config, run.folder, resume=True)
    assert_same_weights(run.folder, undisturbed)


def test_without_both_checkpoints_the_run_starts_again(run: Run, undisturbed: Path) -> None:
    run.last_checkpoint.unlink()
    run.previous_checkpoint.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"previous\.ckpt: damaged.*' starts it again"):
        train(run.config, run.folder, resume=True)
    run.previous_checkpoint.unlink()
    train(run.config, run.folder, resume=True)
    assert_same_weights(run.folder, undisturbed)


def test_checkpoints_that_a_training_cannot_go_on_from(run: Run) -> None:
    shutil.copy(run.best_checkpoint, run.last_checkpoint)
    with pytest.raises(InputError, match="holds weights, but not the state of the training"):
        train(run.config, run.folder, resume=True)
    content = read_checkpoint(run.previous_checkpoint, "")
    writer = AtomicCheckpointIO()
    renamed = {name.replace("stages.0", "stages.9"): w for name, w in content["state_dict"].items()}
    writer.save_checkpoint({**content, "state_dict": renamed}, run.last_checkpoint)
    with pytest.raises(InputError, match=r"last\.ckpt: does not fit the model of"):
        train(run.config, run.folder, resume=True)
    content["state_dict"]["model.head.linear.bias"][1] = float("nan")
    writer.save_checkpoint(content, run.last_checkpoint)
    with pytest.raises(InputError, match=r"last\.ckpt: not finite: head\.linear\.bias .*a lower"):
        train(run.config, run.folder, resume=True)


def test_files_of_killed_writes_are_deleted_when_the_run_goes_on(
    run: Run, undisturbed: Path
) -> None:
    ours = ["checkpoints/.last.123.ckpt", "checkpoints/.best.9.ckpt", ".metrics.77.csv"]
    ours += [".model.sparse.5.safetensors", ".config.1.toml", ".predictions-held-out.2.npz"]
    others = [".last.123.ckpt", ".notes.123.txt", "checkpoints/.last.old.ckpt", ".metrics.csv"]
    for name in (*ours, *others):
        (run.folder / name).write_text("")
    train(run.config, run.folder, resume=True)
    assert [name for name in ours if (run.folder / name).exists()] == []
    assert all((run.folder / name).exists() for name in others)
    assert_same_weights(run.folder, undisturbed)


#: What a training has made of its folder when it is killed before its configuration is there.
STATES: dict[str, list[str]] = {
    "missing": [],
    "made": ["run/"],
    "locked": ["run/.lock"],
    "writing": ["run/.lock", "run/.config.4711.toml"],
    # As versions have left it that made this folder first.
    "checkpoints first": ["run/checkpoints/", "run/.config.4711.toml"],
}


@pytest.mark.parametrize("state", STATES)
def test_killed_before_the_configuration_was_written(
    config: TrainOptions, tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in STATES[state]:
        path = tmp_path / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
    folder = tmp_path / "run"
    assert never_began(folder)
    job = Job("one", folder, {"dataset": config.data.dataset})
    assert not job.is_finished() and "--resume" not in job.words

    def begins(recognizer: ActionRecognizer) -> None:
        raise Killed

    monkeypatch.setattr(ActionRecognizer, "on_train_epoch_start", begins)
    with pytest.raises(Killed):
        train(config, folder)
    assert "--resume" in job.words


def test_killed_after_the_configuration_was_written(
    config: TrainOptions, tmp_path: Path, undisturbed: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    shutil.copy(undisturbed / "config.toml", folder)
    assert "--resume" in Job("one", folder, {"dataset": config.data.dataset}).words
    with pytest.raises(InputError, match="--resume"):
        train(config, folder)
    train(Run.open(folder).config, folder, resume=True)
    assert_same_weights(folder, undisturbed)


def test_the_configuration_comes_before_everything_else(
    config: TrainOptions, tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill the training at each of its first writes: the folder is empty, or can be continued."""
    folder = tmp_path / "run"
    writes: list[str] = []
    limits: list[int] = []

    def killed(path: Path, write: Callable[[Path], object]) -> None:
        writes.append(path.name)
        if len(writes) == limits[-1]:
            raise Killed
        write_atomically(path, write)

    for name in ("tables", "runs.checkpoint", "runs.config_file"):
        monkeypatch.setattr(f"pyg_stgcn.{name}.write_atomically", killed)
    for limit in (1, 2, 3):
        limits.append(limit)
        writes.clear()
        shutil.rmtree(folder, ignore_errors=True)
        with pytest.raises(Killed):
            train(config, folder)
        assert never_began(folder) != (folder / "config.toml").exists()
    assert writes[0] == "config.toml"


def test_a_folder_has_one_training_at_a_time(
    run: Run, monkeypatch: pytest.MonkeyPatch, undisturbed: Path
) -> None:
    monkeypatch.setattr("pyg_stgcn.runs.claim.PATIENCE", 0.1)
    before = run.last_checkpoint.read_bytes()
    with claimed(run, resume=True):
        temporary = run.checkpoints / ".last.123.ckpt"
        temporary.touch()
        with pytest.raises(InputError, match="another training is running in this folder"):
            train(run.config, run.folder, resume=True)
        assert temporary.exists() and run.last_checkpoint.read_bytes() == before
    train(run.config, run.folder, resume=True)
    assert_same_weights(run.folder, undisturbed)


def command_line(config: TrainOptions, *words: str) -> list[str]:
    names = (
        "dataset",
        "root",
        "channels",
        "clip_frames",
        "batch_size",
        "eval_views",
        "accelerator",
    )
    pairs = [(f"--{name.replace('_', '-')}", str(config.flat()[name])) for name in names]
    flat = [word for pair in pairs for word in pair]
    return [sys.executable, "-m", "pyg_stgcn.cli", *words, *flat, "--epochs", "1000000"]


@contextmanager
def started(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("w") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def assert_told_how_to_go_on(said: list[str], name: str, folder: Path) -> None:
    assert said[-1] == (
        f"Error: stopped by {name}; go on with 'pyg-stgcn train --resume --out '{folder}''"
    )
    assert len([line for line in said if "stopped by" in line]) == 1
    assert not list(folder.rglob(".*.ckpt"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_ends_a_training_and_says_how_to_go_on(
    config: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder, number = tmp_path / "the run", getattr(signal, name)

    def stop(recognizer: ActionRecognizer) -> None:
        if recognizer.current_epoch == 2:
            signal.raise_signal(number)

    monkeypatch.setattr(ActionRecognizer, "on_train_epoch_start", stop)
    words = command_line(config, "train", "--out", str(folder))[3:]
    # As in a new process, also where this one was started to ignore the signal.
    default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    before = signal.signal(number, default)
    try:
        result = CliRunner().invoke(main, words)
    finally:
        signal.signal(number, before)
    assert result.exit_code == 128 + number, result.output
    assert (folder / "checkpoints" / "last.ckpt").exists()
    assert_told_how_to_go_on(result.stderr.splitlines(), name, folder)


@pytest.mark.timeout(1800)
def test_a_signal_ends_both_processes_of_a_training(
    config: TrainOptions, tmp_path: Path, wait_for: WaitFor
) -> None:
    folder = tmp_path / "the run"
    words = command_line(config, "train", "--out", str(folder), "--devices", "2")
    words += ["--strategy", "ddp"]
    with started(words, tmp_path / "log") as process:
        checkpoint = folder / "checkpoints" / "last.ckpt"
        wait_for(lambda: checkpoint.exists() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: process.poll() is not None)
        assert process.returncode == 143, (tmp_path / "log").read_text()
    assert_told_how_to_go_on((tmp_path / "log").read_text().splitlines(), "SIGTERM", folder)


@pytest.mark.timeout(1800)
def times(folder: Path) -> dict[str, int]:
    """When each checkpoint was written; a kill between two renamings leaves only the previous."""
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


def test_trainings_of_a_killed_sweep_end_and_are_not_started_twice(
    config: TrainOptions, tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    folder = out / "dense-seed0"
    words = command_line(config, "sweep", "--sparsities", "0", "--seeds", "0", "--out", str(out))
    with started(words, tmp_path / "log") as process:
        checkpoint = folder / "checkpoints" / "last.ckpt"
        wait_for(lambda: checkpoint.exists() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "log").read_text()
        run = Run.open(folder)
        monkeypatch.setattr("pyg_stgcn.runs.claim.PATIENCE", 0.1)
        with (
            pytest.raises(InputError, match="another training is running"),
            claimed(run, resume=True),
        ):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    monkeypatch.setattr("pyg_stgcn.runs.claim.PATIENCE", 600)
    with claimed(run, resume=True):  # Its training has ended by itself, and with it the lock.
        written = times(checkpoint.parent)
    assert times(checkpoint.parent) == written
    assert load_config(folder / "config.toml")[0].sparsity.sparsity == 0
