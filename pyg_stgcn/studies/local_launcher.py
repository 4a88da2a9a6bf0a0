"""Trainings on this machine, each in its own process."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from pyg_stgcn.errors import InputError
from pyg_stgcn.progress import tell
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.launching import Launcher, Report
from pyg_stgcn.studies.training_process import POLL, kill_group, start_training


class LocalLauncher(Launcher):
    """Runs trainings on this machine, and divides its cores among them.

    Small trainings in parallel use the cores better than one after the other with all threads
    each. The trainings end with this process, even if it is killed.
    """

    def run(
        self, jobs: Sequence[Job], parallel: int, report: Report, signals: Sequence[int]
    ) -> None:
        """See :meth:`Launcher.run`."""
        threads = threads_each(parallel, len(jobs))
        width = max(len(job.label) for job in jobs)
        stop = threading.Event()

        def run(job: Job) -> None:
            if not stop.is_set():
                report.begins(job)
                _run(job, threads, f"{job.label:>{width}}", stop)
                report.ends(job)

        _wait_for_all(run, jobs, parallel, stop, signals)


def threads_each(parallel: int, jobs: int) -> int:
    """Number of threads for each training of this machine.

    Args:
        parallel: Most trainings at the same time.
        jobs: Number of the trainings.
    """
    return max(1, (os.cpu_count() or 1) // min(parallel, jobs))


def _wait_for_all(
    run: Callable[[Job], None],
    jobs: Sequence[Job],
    parallel: int,
    stop: threading.Event,
    signals: Sequence[int],
) -> None:
    """Run the jobs until all have ended, one has failed, or a signal has arrived."""
    with ThreadPoolExecutor(parallel) as pool:
        running = [pool.submit(run, job) for job in jobs]
        try:
            while not signals:
                done, remaining = wait(running, POLL)
                if not remaining or any(job.exception() for job in done):
                    break
        finally:
            stop.set()
    if not signals:
        for job in running:
            job.result()


def _run(job: Job, threads: int, label: str, stop: threading.Event) -> None:
    """Run one training until its end, or until the others are stopped."""
    process = start_training(job.words, threads, subprocess.DEVNULL, subprocess.PIPE)
    failures: list[OSError] = []

    def relay() -> None:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                tell(f"{label}: {line.decode(errors='replace').rstrip()}")
        except OSError as error:  # Nobody reads the lines any more.
            failures.append(error)
            stop.set()

    reader = threading.Thread(target=relay)
    reader.start()
    while process.poll() is None:
        if stop.wait(POLL):
            kill_group(process)
    if process.returncode:
        # The other processes of the training would wait for this one for ever.
        kill_group(process)
    reader.join()
    if failures:
        raise failures[0]
    if process.returncode and not stop.is_set():
        stop.set()
        raise InputError(f"the training {job.label} failed, see above")
