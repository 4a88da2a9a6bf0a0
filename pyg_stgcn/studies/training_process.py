"""The process of one training: its start, and its end together with all its descendants."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.signals import END_WITH_INPUT

#: Seconds between two looks at a training, or at whether to stop it.
POLL = 0.2
#: With this variable Lightning would expect that Slurm itself starts a process for each device.
_STARTED_BY_SLURM = "SLURM_NTASKS"


def resumed(words: Sequence[str], folder: Path) -> list[str]:
    """Arguments of a training, with ``--resume`` if its run has been started.

    Args:
        words: Arguments that start the run.
        folder: The run directory.
    """
    return [*words, "--resume"] if RunFiles(folder).is_started else list(words)


def start_training(
    words: Sequence[str], threads: int | None, stdout: int | IO[bytes], stderr: int
) -> subprocess.Popen[bytes]:
    """Start a process that ends when this one does, even by a kill.

    Args:
        words: Arguments of ``pyg-stgcn``.
        threads: Number of threads, unless ``OMP_NUM_THREADS`` is set; :obj:`None` leaves the
            choice to PyTorch.
        stdout: As for :class:`subprocess.Popen`.
        stderr: As for :class:`subprocess.Popen`.
    """
    environment: dict[str, Any] = {**os.environ, END_WITH_INPUT: "1"}
    environment.pop(_STARTED_BY_SLURM, None)
    if threads is not None:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
    return subprocess.Popen(
        # A module and not code, so that Lightning can start it again for every further device.
        [sys.executable, "-m", "pyg_stgcn.cli", *words],
        env=environment,
        # A pipe without data: it closes when this process ends.
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        # A process group: the processes that a training starts are stopped with it.
        start_new_session=True,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a training and the processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
