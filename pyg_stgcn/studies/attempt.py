"""One attempt at a training on a node of a cluster. Imports little: every node imports it.

The node and the study that waits for it share three files, so that neither depends on how the job
system of the cluster reports the end of a job:

- ``LABEL.lease`` is held by the one node that trains the run, and expires soon after the node is
  lost. Process numbers mean nothing on another machine, and file systems of clusters often have no
  locks;
- ``LABEL.json`` is the :class:`State` of the training;
- ``LABEL.log`` holds all output of the training, of all attempts.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import SoftFileLease, Timeout

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.studies.training_process import POLL, kill_group, resumed, start_training
from pyg_stgcn.tables import write_json

#: Seconds without a sign of life after which a node is lost.
LEASE_SECONDS = 30.0


class State(NamedTuple):
    """The state of a training, as its node tells it.

    Args:
        host: Name of the node.
        started: Time of the start, in seconds by the clock of the node.
        code: Exit code of a training that has ended, negative for a signal.
    """

    host: str
    started: float
    code: int | None = None


@dataclass(frozen=True)
class Attempt:
    """Starts or continues a training and waits for its end; a job of a cluster calls it.

    Args:
        label: Name of the run.
        words: Arguments of ``pyg-stgcn`` that start the run.
        run: The run directory.
        folder: Of the three files.
        threads: Number of threads (default: PyTorch's choice).
    """

    label: str
    words: tuple[str, ...]
    run: Path
    folder: Path
    threads: int | None = None

    @property
    def log(self) -> Path:
        """The output of the training."""
        return self.folder / f"{self.label}.log"

    @property
    def job_file(self) -> Path:
        """Name of the job in the job system, if another process could find it."""
        return self.folder / f"{self.label}.job"

    @property
    def _state(self) -> Path:
        return self.folder / f"{self.label}.json"

    def lease(self, **options: Any) -> SoftFileLease:
        """A new lease of the run, not yet acquired; options as for :class:`SoftFileLease`."""
        path = self.folder / f"{self.label}.lease"
        return SoftFileLease(path, lease_duration=LEASE_SECONDS, **options)

    def state(self) -> State | None:
        """The last state that a node has told, if any."""
        try:
            return State(**json.loads(self._state.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def forget_state(self) -> None:
        """Delete what an earlier attempt has reported."""
        self._state.unlink(missing_ok=True)

    def __call__(self) -> None:
        """Train the run to its end, unless it is finished, or another node trains it.

        Raises:
            InputError: This node does not see the folder.
        """
        host = socket.gethostname()
        if not self.folder.is_dir():
            raise InputError(
                f"{self.folder}: the node {host} has no such folder; put --out and the data on a "
                "file system that all nodes share, under the same path"
            )
        lost = threading.Event()
        lease = self.lease(on_compromise=lambda _: lost.set())
        try:
            # After a node is lost, its lease remains for a while.
            lease.acquire(timeout=2 * LEASE_SECONDS)
        except Timeout:
            return
        try:
            if RunFiles(self.run).is_finished:
                return
            state = State(host, time.time())
            write_json(self._state, state._asdict())
            code = self._train(host, lost)
            if not lost.is_set():
                write_json(self._state, state._replace(code=code)._asdict())
        finally:
            lease.release()

    def _train(self, host: str, lost: threading.Event) -> int:
        """Run the training; return its exit code, negative for a signal."""
        with self.log.open("ab") as log:
            log.write(f"-- {time.strftime('%Y-%m-%d %H:%M:%S')} on {host}\n".encode())
            log.flush()
            words = resumed(self.words, self.run)
            process = start_training(words, self.threads, log, subprocess.STDOUT)
            try:
                while process.poll() is None and not lost.wait(POLL):
                    pass
            finally:
                kill_group(process)
                code = process.wait()
        return code
