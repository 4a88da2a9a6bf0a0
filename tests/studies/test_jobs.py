from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.config_file import save_config
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.launching import run_jobs
from pyg_stgcn.studies.local_launcher import LocalLauncher


def processes_that_name(path: Path) -> set[int]:
    """Running processes with the path on their command line."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, stat = (process / "cmdline").read_bytes(), (process / "stat").read_text()
        except OSError:
            continue
        is_zombie = stat.rpartition(")")[2].split()[0] == "Z"
        if os.fsencode(path) in words and not is_zombie:
            found.add(int(process.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks into /proc")
@pytest.mark.timeout(1800)
def test_nothing_outlives_the_command(
    tiny_pickle: Path,
    tmp_path: Path,
    wait_for: Callable[[Callable[[], object]], None],
) -> None:
    sweep = ["sweep", "--dataset", str(tiny_pickle), "--root", str(tmp_path / "data")]
    sweep += ["--sparsities", "0", "--seeds", "0", "--out", str(tmp_path / "out")]
    sweep += ["--channels", "2", "--clip-frames", "8", "--epochs", "1000000", "--batch-size", "12"]
    sweep += ["--accelerator", "cpu", "--devices", "2", "--strategy", "ddp"]
    metrics = tmp_path / "out/dense-seed0/metrics.csv"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pyg_stgcn.cli", *sweep],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: metrics.exists() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert len(processes_that_name(tmp_path)) == 3
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: process.poll() is not None)
        assert process.returncode == 128 + signal.SIGTERM
        said = (tmp_path / "log").read_text().splitlines()
        assert said[-1] == (
            "Error: stopped by SIGTERM; start the same command again; it keeps the finished runs "
            "and continues the others"
        )
        wait_for(lambda: not processes_that_name(tmp_path))
    finally:
        for left in processes_that_name(tmp_path):
            os.kill(left, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(1800)
def test_commands_other_than_train_say_how_to_go_on(
    tiny_pickle: Path, tmp_path: Path, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """Stopped by Ctrl-C in the middle of its work."""
    data = ["--dataset", str(tiny_pickle), "--root", str(tmp_path / "data"), "--accelerator", "cpu"]
    commands = {
        "assemble": ["assemble", *data, "--epochs", "100000", "--out", str(tmp_path / "assemble")],
        "prepare": ["datasets", "prepare", "synthetic", "--root", str(tmp_path / "prepare")],
    }
    logs = {name: tmp_path / f"{name}.log" for name in commands}
    begun = {
        "assemble": lambda: "start of" in logs["assemble"].read_text(),
        "prepare": lambda: list(tmp_path.glob("prepare/processed/*")),
    }
    again = "Error: stopped by SIGINT; start the same command again"
    expected = {
        "assemble": f"{again}; it keeps the finished runs and continues the others",
        "prepare": again,
    }
    processes = {}
    for name, words in commands.items():
        with logs[name].open("w") as log:
            words = [sys.executable, "-m", "pyg_stgcn.cli", *words]
            processes[name] = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        for name, process in processes.items():
            wait_for(lambda name=name, process=process: begun[name]() or process.poll())
            process.send_signal(signal.SIGINT)
            wait_for(lambda process=process: process.poll() is not None)
            said = logs[name].read_text().splitlines()
            assert (process.returncode, said[-1]) == (130, expected[name])
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def test_a_command_has_all_options(tmp_path: Path) -> None:
    options: dict[str, object] = {"dataset": "synthetic", "scale": False}
    options |= {"freeze_backbone": True, "clip_frames": 8}
    options |= {"augment": {"mirror": 0.5, "noise": 0.1}, "sparsity": 0, "seed": 1}
    job = Job("dense-seed1", tmp_path / "dense-seed1", options)
    assert job.words == [
        *("train", "--dataset", "synthetic", "--no-scale", "--freeze-backbone"),
        *("--clip-frames", "8", "--augment", "mirror=0.5", "--augment", "noise=0.1"),
        *("--sparsity", "0", "--seed", "1", "--root", str(Path("data").absolute())),
        *("--out", str(tmp_path / "dense-seed1")),
    ]
    assert job.command.startswith("pyg-stgcn train --dataset synthetic ")


def test_a_started_run_is_resumed_and_a_finished_one_is_known(tmp_path: Path) -> None:
    options = {"dataset": "synthetic", "seed": 3}
    job = Job("run", tmp_path, options)
    assert not job.is_finished() and "--resume" not in job.words
    config = TrainOptions.of(**options).with_recipe(2, "xsub")
    save_config(job.files.config_file, config, {"data": {}})
    assert not job.is_finished() and job.words[-1] == "--resume"
    job.files.summary.write_text("{}")
    assert job.is_finished()


def test_a_run_with_other_options_is_not_taken(tmp_path: Path) -> None:
    options = {"dataset": "synthetic", "seed": 3}
    save_config(
        RunFiles(tmp_path).config_file,
        TrainOptions.of(**options).with_recipe(2, "xsub"),
        {"data": {}},
    )
    # Hardware does not change the result, and recipes fill in what is not given.
    assert not Job("run", tmp_path, options | {"accelerator": "cpu"}).is_finished()
    with pytest.raises(InputError, match=r"holds a run with --seed 3, not 4"):
        Job("run", tmp_path, options | {"seed": 4}).is_finished()


def test_a_failed_training_stops_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [
        Job(str(number), tmp_path / str(number), {"dataset": f"{tmp_path}/{number}.pkl"})
        for number in range(3)
    ]
    with (
        caplog.at_level("INFO", "pyg_stgcn"),
        pytest.raises(InputError, match="the training 0 failed, see above"),
    ):
        run_jobs(jobs, LocalLauncher(), 1)
    said = caplog.text
    assert "0: " in said and "0.pkl" in said
    assert "1.pkl" not in said and "2.pkl" not in said


def test_no_jobs_are_no_error() -> None:
    run_jobs([], LocalLauncher(), 2)
