"""Slurm, through submitit."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.progress import tell
from pyg_stgcn.studies.attempt import Attempt
from pyg_stgcn.studies.cluster_launcher import Engine
from pyg_stgcn.studies.launchers import SLURM, import_for
from pyg_stgcn.studies.local_launcher import threads_each
from pyg_stgcn.studies.training_process import POLL
from pyg_stgcn.text import count

#: Minutes of a job without the option ``time``.
_MINUTES = 24 * 60
#: Number of times that a job may reach its limit of time and continue.
_CONTINUATIONS = 100
#: Seconds to wait for cancelled jobs of this machine.
_PATIENCE = 10.0
#: Seconds between two questions to Slurm. submitit asks less and less often by itself, and would
#: find a lost job after ten minutes.
_ASK = 30.0
#: States of jobs that have ended. submitit would count SUSPENDED among them, but not PREEMPTED.
_OVER = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
}


@dataclass(frozen=True)
class _Continued(Attempt):
    """An attempt that submitit submits again when it is preempted or reaches its limit of time."""

    def checkpoint(self) -> Any:
        """The submission of a stopped job: the same, as it continues from the last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmEngine(Engine):
    """Submits runs to Slurm, several as one job array.

    Args:
        folder: Of the files of submitit: scripts, logs and states of jobs.
        options: See :data:`~pyg_stgcn.studies.launchers.OPTIONS`. With ``cluster="local"``, the
            jobs run on the CPUs of this machine, to try things out.

    Raises:
        InputError: submitit is not installed, or this machine has no Slurm.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        submitit = import_for(SLURM, "submitit")
        # Its lines would stand between those of the result.
        logging.getLogger("submitit").handlers.clear()
        given = dict(options)
        cluster = given.pop("cluster", "slurm")
        self.queues = cluster == "slurm"
        self._cpus: int | None = given.get("cpus_per_task")
        if self._cpus is not None:
            # srun does not take it from sbatch.
            given["srun_args"] = [f"--cpus-per-task={self._cpus}"]
        if "setup" in given:
            given["setup"] = [given["setup"]]
        try:
            self._executor = submitit.AutoExecutor(
                folder, cluster=cluster, slurm_max_num_timeout=_CONTINUATIONS
            )
        except RuntimeError:
            raise InputError(
                "launcher='slurm': there is no srun on this machine; call the command on a login "
                "node of the cluster, or try it out with the launcher option cluster=local"
            ) from None
        self._executor.update_parameters(
            name="pyg-stgcn",
            timeout_min=given.pop("time", _MINUTES),
            **{f"slurm_{name}": value for name, value in given.items()},
        )
        self._errors = submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError
        self._job = submitit.SlurmJob
        self._asked = time.monotonic()

    def threads(self, parallel: int, jobs: int) -> int | None:
        """See :meth:`Engine.threads`."""
        return self._cpus if self.queues else threads_each(parallel, jobs)

    def submit(self, attempts: Sequence[Attempt], parallel: int) -> Sequence[Any]:
        """See :meth:`Engine.submit`."""
        self._executor.update_parameters(slurm_array_parallelism=parallel)
        continued = [_Continued(**asdict(attempt)) for attempt in attempts]
        # A job of this machine that is cancelled prints a traceback.
        log = self._executor.folder / "jobs.err"
        try:
            with nullcontext() if self.queues else _errors_in(log):
                jobs: list[Any] = self._executor.submit_array(continued)
        except self._errors as error:  # Its message has been printed.
            raise InputError("launcher='slurm': sbatch has refused the job, see above") from error
        if self.queues:
            number = jobs[0].job_id.partition("_")[0]
            tell(f"{count(len(jobs), 'run')} submitted to Slurm as job {number}")
        return jobs

    def name(self, handle: Any) -> str | None:
        """See :meth:`Engine.name`."""
        return str(handle.job_id) if self.queues else None

    def find(self, names: Sequence[str]) -> Sequence[Any]:
        """See :meth:`Engine.find`."""
        if not self.queues:
            return [None] * len(names)
        jobs = [self._job(self._executor.folder, name) for name in names]
        self._ask()
        # Slurm forgets old jobs.
        return [job if _state(job) and not _is_over(job) else None for job in jobs]

    def _ask(self) -> None:
        """Let submitit ask Slurm for the states of all jobs."""
        self._job.watcher.update()
        self._asked = time.monotonic()

    def end(self, handle: Any) -> str | None:
        """See :meth:`Engine.end`."""
        if self.queues and time.monotonic() - self._asked > _ASK:
            self._ask()
        if not (_is_over(handle) if self.queues else handle.done()):
            return None
        state = _state(handle) if self.queues else handle.state
        if state == "CANCELLED":
            raise InputError(
                f"the job {handle.job_id} was cancelled; start the same command again to continue"
            )
        return f"job {handle.job_id} has the state {state}, see {handle.paths.stderr}"

    def cancel(self, handles: Sequence[Any]) -> None:
        """See :meth:`Engine.cancel`."""
        if self.queues:
            if handles:
                subprocess.run(["scancel", *(handle.job_id for handle in handles)])
            return
        for handle in handles:
            handle.cancel()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and not all(handle.done() for handle in handles):
            time.sleep(POLL)


def _state(job: Any) -> str:
    """The state that Slurm has told last, such as ``"CANCELLED"`` of "CANCELLED by 1000"."""
    return str(job.get_info(mode="cache").get("State", "")).partition(" ")[0]


def _is_over(job: Any) -> bool:
    """Whether a job of Slurm has ended, or has at least written a result."""
    return _state(job) in _OVER or job.paths.result_pickle.exists()


@contextmanager
def _errors_in(log: Path) -> Iterator[None]:
    """Context whose new processes write their errors to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    own = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)
