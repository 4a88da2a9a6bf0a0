"""Trainings on the nodes of a cluster, through its job system."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import Timeout

from pyg_stgcn.errors import InputError
from pyg_stgcn.progress import tell
from pyg_stgcn.studies.attempt import Attempt, State
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.launching import Launcher, Report
from pyg_stgcn.studies.training_process import POLL
from pyg_stgcn.text import count, printable

#: A training that these have ended has not failed by itself.
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
#: Seconds that a job may take to end after its training.
_PATIENCE = 5.0
#: Number of the last lines of a failed training that are shown.
_LINES = 15


class Engine(ABC):
    """The job system of a cluster: Slurm or Ray.

    A handle is whatever the engine knows a submitted job by.
    """

    #: Whether it holds back jobs that are too many at the same time.
    queues = False

    @abstractmethod
    def threads(self, parallel: int, jobs: int) -> int | None:
        """Number of threads for each training; ``None`` leaves the choice to PyTorch.

        Args:
            parallel: Most trainings at the same time.
            jobs: Number of the trainings.
        """

    @abstractmethod
    def submit(self, attempts: Sequence[Attempt], parallel: int) -> Sequence[Any]:
        """Submit attempts as jobs; return their handles.

        Args:
            attempts: Independent of each other.
            parallel: Number of jobs at the same time, if the engine :attr:`queues` jobs.

        Raises:
            InputError: The cluster does not take the jobs.
        """

    def name(self, handle: Any) -> str | None:
        """The name by which another process finds a job; ``None`` if it ends with this one."""
        return None

    def find(self, names: Sequence[str]) -> Sequence[Any]:
        """Handles of jobs that other processes have submitted; ``None`` for those that are over."""
        return [None] * len(names)

    @abstractmethod
    def end(self, handle: Any) -> str | None:
        """How a job has ended, or ``None`` if it waits or runs.

        Raises:
            InputError: It could not begin, and no other attempt could.
        """

    @abstractmethod
    def cancel(self, handles: Sequence[Any]) -> None:
        """End jobs and their trainings, and wait for that a little."""


class _Run:
    """A training of a study, and the job that it has been submitted as."""

    def __init__(self, job: Job, folder: Path, threads: int | None) -> None:
        self.job = job
        self.attempt = Attempt(
            job.label, tuple(job.first_words), job.folder.absolute(), folder, threads
        )
        self.handle: Any = None
        self.state: State | None = None
        self.losses = 0
        self._lease = self.attempt.lease()

    @property
    def place(self) -> str:
        """The node that trains or has trained the run, if one has, as a part of a sentence."""
        return "" if self.state is None else f" on {self.state.host}"

    def is_free(self) -> bool:
        """Whether no node trains the run; a node that may be lost counts for a while."""
        try:
            self._lease.acquire(blocking=False)
        except Timeout:
            return False
        self._lease.release()
        return True


class ClusterLauncher(Launcher):
    """Runs trainings as jobs of a cluster.

    A run that is lost with its node, or killed, is submitted again and continues from its last
    checkpoint. Jobs that a killed call of the same study has left are taken over, and a run that
    still trains is waited for: no run is trained twice at the same time. The folder must be on a
    file system that all nodes share.

    Args:
        engine: The job system.
        folder: Of logs and leases.
        retries: Number of times that one run may be lost.
    """

    def __init__(self, engine: Engine, folder: Path, retries: int) -> None:
        self.engine, self.folder, self.retries = engine, folder.absolute(), retries

    def run(
        self, jobs: Sequence[Job], parallel: int, report: Report, signals: Sequence[int]
    ) -> None:
        """See :meth:`Launcher.run`."""
        for job in jobs:
            if job.options.get("num_nodes", 1) != 1:
                raise InputError(
                    "num_nodes: a launcher starts each run on one node; leave the option out"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        threads = self.engine.threads(parallel, len(jobs))
        runs = every = [_Run(job, self.folder, threads) for job in jobs]
        self._find_jobs(runs)
        try:
            while runs and not signals:
                self._submit(runs, parallel)
                runs = [run for run in runs if not self._is_over(run, report)]
                time.sleep(POLL)
            if not runs:
                self._wait_for_jobs(every)
        finally:
            self.engine.cancel([run.handle for run in every if self._is_running(run)])

    def _find_jobs(self, runs: Sequence[_Run]) -> None:
        """Take over the jobs that a killed process has left; forget what others have left."""
        known = [run for run in runs if run.attempt.job_file.exists()]
        names = [run.attempt.job_file.read_text(encoding="utf-8") for run in known]
        for run, handle in zip(known, self.engine.find(names) if names else [], strict=True):
            run.handle = handle
        for run in runs:
            if run.handle is None and run.is_free():
                run.attempt.forget_state()

    def _wait_for_jobs(self, runs: Sequence[_Run]) -> None:
        """Wait for the jobs of finished runs; those that still wait for a node are not needed."""
        deadline = time.monotonic() + _PATIENCE
        while any(map(self._is_running, runs)) and time.monotonic() < deadline:
            time.sleep(POLL)

    def _is_running(self, run: _Run) -> bool:
        try:
            return run.handle is not None and self.engine.end(run.handle) is None
        except InputError:
            return False

    def _submit(self, runs: Sequence[_Run], parallel: int) -> None:
        """Submit as many runs as may be, of those that no node trains."""
        waiting = [run for run in runs if run.handle is None]
        room = len(runs) if self.engine.queues else parallel - (len(runs) - len(waiting))
        chosen = [run for run in waiting[: max(room, 0)] if run.is_free() and not _is_done(run)]
        if not chosen:
            return
        for run in chosen:
            run.attempt.forget_state()
        handles = self.engine.submit([run.attempt for run in chosen], parallel)
        for run, handle in zip(chosen, handles, strict=True):
            run.handle = handle
            if (name := self.engine.name(handle)) is not None:
                run.attempt.job_file.write_text(name, encoding="utf-8")

    def _is_over(self, run: _Run, report: Report) -> bool:
        """Report what has become of a run; return whether it is finished."""
        # First the job, then what the training has written: nothing is missed in between.
        end = None if run.handle is None else self.engine.end(run.handle)
        state = run.attempt.state()
        if state is not None:
            if run.state is None or run.state.started != state.started:
                report.begins(run.job, state.host, again=run.state is not None)
            run.state = state
        code = None if state is None else state.code
        if _is_done(run) and (code is not None or end is not None or run.handle is None):
            report.ends(run.job)
            return True
        if run.handle is None or code == 0:  # The result may become visible here a little later.
            return False
        if code is not None:
            self._ended_with(run, code)
        elif end is not None and run.is_free() and run.attempt.state() == state:
            # No other node trains the run either.
            self._lost(run, end)
        return False

    def _ended_with(self, run: _Run, code: int) -> None:
        """Take note of a training that has ended without a result."""
        for name in _FROM_OUTSIDE:
            number = getattr(signal, name, None)
            if number is not None and code in (-number, 128 + number):
                self._lost(run, f"killed by {name}")
                return
        raise self._failure(run, f"failed{run.place}")

    def _lost(self, run: _Run, why: str) -> None:
        """Let a run start again, unless that has happened too often."""
        run.losses += 1
        if run.losses > self.retries:
            times = count(run.losses, "time")
            raise self._failure(run, f"was lost {times}, at last{run.place}: {why}")
        left = f"{run.losses} of at most {count(self.retries, 'time')}"
        tell(f"{run.job.label}{run.place} was lost: {why}; it starts again, {left}")
        run.handle = None

    def _failure(self, run: _Run, what: str) -> InputError:
        """The error for a run that has failed, after the last lines of its output."""
        try:
            lines = run.attempt.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines[-_LINES:]:
            tell(f"{run.job.label}: {printable(line)}")
        seen = f", see above; all its output is in {run.attempt.log}" if lines else ""
        return InputError(f"the training {run.job.label} {what}{seen}")


def _is_done(run: _Run) -> bool:
    return run.job.files.is_finished
