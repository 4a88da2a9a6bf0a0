from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


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
@pytest.mark.parametrize(("number", "devices"), [(signal.SIGTERM, 2), (signal.SIGINT, 1)])
def test_nothing_outlives_the_command(
    tiny_pickle: Path,
    tmp_path: Path,
    wait_for: Callable[[Callable[[], object]], None],
    number: signal.Signals,
    devices: int,
) -> None:
    sweep = ["sweep", "--dataset", str(tiny_pickle), "--root", str(tmp_path / "data")]
    sweep += ["--sparsities", "0", "--seeds", "0", "--out", str(tmp_path / "out")]
    sweep += ["--channels", "2", "--clip-frames", "8", "--epochs", "1000000", "--batch-size", "12"]
    sweep += ["--accelerator", "cpu", "--devices", str(devices)]
    sweep += ["--strategy", "ddp" if devices > 1 else "auto"]
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
        assert len(processes_that_name(tmp_path)) == 1 + devices
        process.send_signal(number)
        wait_for(lambda: process.poll() is not None)
        assert process.returncode == 128 + number
        said = (tmp_path / "log").read_text().splitlines()
        assert said[-1] == f"Error: stopped by {number.name}; start the same command again"
        wait_for(lambda: not processes_that_name(tmp_path))
    finally:
        for left in processes_that_name(tmp_path):
            os.kill(left, signal.SIGKILL)
        process.wait()
