"""Jobs: trainings that run in parallel, each in its own process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.progress import Pace, bars, duration, tell
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.options import OPTIONS, PLACEMENT, TrainOptions
from pyg_stgcn.runs.paths import with_absolute_paths, with_root
from pyg_stgcn.runs.recipe import FILLED_IN
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.signals import END_WITH_INPUT, Stopped, delayed, stop_on
from pyg_stgcn.text import count, shell_word

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds between two looks at whether to stop.
POLL = 0.2


@dataclass(frozen=True)
class Job:
    """One call of ``pyg-stgcn train``.

    Args:
        label: Prefix of its lines of progress.
        folder: The run directory.
        options: Values of the command's options, by their names in :class:`TrainOptions`.
    """

    label: str
    folder: Path
    options: dict[str, Any]

    @property
    def files(self) -> RunFiles:
        """The files of the run."""
        return RunFiles(self.folder)

    @property
    def words(self) -> list[str]:
        """Arguments that start the run, or resume it if it has been started.

        Paths in them are absolute, so they hold in any working directory.
        """
        words = ["train"]
        for name, value in with_root(self.options).items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            elif value is False:
                words.append(f"--no-{flag.removeprefix('--')}")
            elif isinstance(value, list):
                words += [flag, *map(str, value)]
            elif isinstance(value, dict):
                words += [word for key in value for word in (flag, f"{key}={value[key]}")]
            else:
                words += [flag, str(value)]
        words += ["--out", str(self.folder.absolute())]
        if self.files.is_started:
            words.append("--resume")
        return words

    @property
    def command(self) -> str:
        """The same as a line of a shell."""
        return " ".join(map(shell_word, ["pyg-stgcn", *self.words]))

    def is_finished(self) -> bool:
        """Whether the run is complete.

        Raises:
            InputError: The folder holds a run with other options.
        """
        if not self.files.is_started:
            return False
        found = with_absolute_paths(load_config(self.files.config_file)[0]).flat()
        for name, value in with_absolute_paths(TrainOptions.of(**self.options)).flat().items():
            if name in PLACEMENT or (value is None and name in FILLED_IN):
                continue
            if found[name] != value:
                raise InputError(
                    f"{self.folder}: holds a run with {OPTIONS[name].flag} {found[name]}, not "
                    f"{value}; name another folder"
                )
        return self.files.is_finished


def run_jobs(jobs: Sequence[Job], parallel: int, *, later: int = 0) -> None:
    """Run trainings, several at a time, and divide the cores among them.

    Small trainings in parallel use the cores better than one after the other with all threads
    each. When one fails, the running ones are stopped, and the others are not started. The same
    happens when this process is interrupted, terminated, hung up or killed.

    Args:
        jobs: The trainings.
        parallel: Number of trainings at the same time.
        later: Number of trainings that follow in another call, for the estimate of the time.

    Raises:
        InputError: A training has failed; its messages have been printed.
    """
    threads = str(max(1, (os.cpu_count() or 1) // min(parallel, len(jobs) or 1)))
    width = max((len(job.label) for job in jobs), default=0)
    stop = threading.Event()

    with ExitStack() as stack:
        report = _Report(len(jobs), later, stack.enter_context(bars()))

        def run(job: Job) -> None:
            if not stop.is_set():
                report.begins(job)
                _run(job, threads, f"{job.label:>{width}}", stop)
                report.ends(job)

        stack.enter_context(stop_on("SIGTERM", "SIGHUP"))
        try:
            with delayed("SIGINT", "SIGTERM", "SIGHUP") as signals:
                _wait_for_all(run, jobs, parallel, stop, signals)
        except Stopped as error:
            error.remedy += "; it keeps the finished runs and continues the others"
            raise


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


class _Report:
    """Lines, and a bar in a terminal, about the runs that begin and end."""

    def __init__(self, total: int, later: int, progress: Progress | None) -> None:
        self.total, self.begun, self.ended = total, 0, 0
        self._pace = Pace(total + later)
        self._progress, self._lock = progress, threading.Lock()
        if progress is not None:
            self._task = progress.add_task("runs", total=total, status="")

    def begins(self, job: Job) -> None:
        with self._lock:
            self.begun += 1
            tell(f"start of {job.label}: run {self.begun} of {self.total}")

    def ends(self, job: Job) -> None:
        with self._lock:
            self.ended += 1
            self._pace.done += 1
            left = f"{self.ended} of {count(self.total, 'run')} finished"
            if self._pace.left:
                left += f", about {duration(self._pace.left)} left"
            if self._progress is not None:
                self._progress.update(self._task, completed=self.ended, status=left)
            tell(f"end of {job.label}: {left}")


def _run(job: Job, threads: str, label: str, stop: threading.Event) -> None:
    """Run one training until its end, or until the others are stopped."""
    process = subprocess.Popen(
        # A module and not code, so that Lightning can start it again for every further device.
        [sys.executable, "-m", "pyg_stgcn.cli", *job.words],
        env={"OMP_NUM_THREADS": threads, **os.environ, END_WITH_INPUT: "1"},
        # A pipe without data: it closes when this process ends, even by SIGKILL.
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A process group: the processes that a training starts are stopped with it.
        start_new_session=True,
    )
    failures: list[OSError] = []

    def relay() -> None:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                tell(f"{label}: {line.rstrip()}")
        except OSError as error:  # Nobody reads the lines any more.
            failures.append(error)
            stop.set()

    reader = threading.Thread(target=relay)
    reader.start()
    while process.poll() is None:
        if stop.wait(POLL):
            _kill_group(process)
    if process.returncode:
        # The other processes of the training would wait for this one for ever.
        _kill_group(process)
    reader.join()
    if failures:
        raise failures[0]
    if process.returncode and not stop.is_set():
        stop.set()
        raise InputError(f"the training {job.label} failed, see above")


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
