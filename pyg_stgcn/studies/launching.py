"""Many trainings, several at a time, with progress; a launcher says on which machines."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyg_stgcn.progress import Pace, bars, duration, tell
from pyg_stgcn.signals import Stopped, delayed, stop_on
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from rich.progress import Progress


class Launcher(ABC):
    """Starts trainings, here or on a cluster, and waits for them."""

    @abstractmethod
    def run(
        self, jobs: Sequence[Job], parallel: int, report: Report, signals: Sequence[int]
    ) -> None:
        """Run trainings until all have ended, one has failed, or a signal has arrived.

        No training outlives the call, unless the process is killed.

        Args:
            jobs: Unfinished trainings.
            parallel: Number of trainings at the same time.
            report: To be told of every beginning and end.
            signals: Signals that have arrived; grows in the meantime.

        Raises:
            InputError: A training has failed; its last messages have been printed.
        """


def run_jobs(jobs: Sequence[Job], launcher: Launcher, parallel: int, *, later: int = 0) -> None:
    """Run trainings, several at a time.

    When one fails, the running ones are stopped, and the others are not started. The same happens
    when this process is interrupted, terminated or hung up.

    Args:
        jobs: The trainings.
        launcher: Starts them.
        parallel: Number of trainings at the same time.
        later: Number of trainings that follow in another call, for the estimate of the time.

    Raises:
        InputError: A training has failed; its messages have been printed.
    """
    if not jobs:
        return
    with ExitStack() as stack:
        report = Report(len(jobs), later, stack.enter_context(bars()))
        stack.enter_context(stop_on("SIGTERM", "SIGHUP"))
        try:
            with delayed("SIGINT", "SIGTERM", "SIGHUP") as signals:
                launcher.run(jobs, parallel, report, signals)
        except Stopped as error:
            error.remedy += "; it keeps the finished runs and continues the others"
            raise


class Report:
    """Lines, and a bar in a terminal, about the runs that begin and end.

    Args:
        total: Number of runs.
        later: Number of runs that follow, for the estimate of the time.
        progress: The bar, if there is a terminal.
    """

    def __init__(self, total: int, later: int = 0, progress: Progress | None = None) -> None:
        self.total, self.begun, self.ended = total, 0, 0
        self._pace = Pace(total + later)
        self._progress, self._lock = progress, threading.Lock()
        if progress is not None:
            self._task = progress.add_task("runs", total=total, status="")

    def begins(self, job: Job, host: str | None = None, *, again: bool = False) -> None:
        """Tell that a training has begun.

        Args:
            job: The training.
            host: Name of its machine, if it may be another one.
            again: Whether it has begun before.
        """
        with self._lock:
            self.begun += not again
            where = "" if host is None else f" on {host}"
            which = "again" if again else f"run {self.begun} of {self.total}"
            tell(f"start of {job.label}{where}: {which}")

    def ends(self, job: Job) -> None:
        """Tell that a training has ended well, and how long the others may take."""
        with self._lock:
            self.ended += 1
            self._pace.done += 1
            left = f"{self.ended} of {count(self.total, 'run')} finished"
            if self._pace.left:
                left += f", about {duration(self._pace.left)} left"
            if self._progress is not None:
                self._progress.update(self._task, completed=self.ended, status=left)
            tell(f"end of {job.label}: {left}")
