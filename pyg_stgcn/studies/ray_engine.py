"""Ray: a running cluster, or one on this machine alone."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.progress import tell
from pyg_stgcn.studies.attempt import Attempt
from pyg_stgcn.studies.cluster_launcher import Engine
from pyg_stgcn.studies.launchers import RAY, import_for

#: Seconds to wait for an answer, and for cancelled tasks before their processes are killed.
_PATIENCE = 10.0


class RayEngine(Engine):
    """Submits runs as tasks of Ray.

    The cluster is that of the option ``address``, else that of the environment variable
    ``RAY_ADDRESS``, else one that runs on this machine, else a new one of this machine alone.

    Args:
        options: See :data:`~pyg_stgcn.studies.launchers.OPTIONS`.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        # Before the import, which reads it.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self._ray = import_for(RAY, "ray")
        self._address: str | None = options.get("address")
        self._cpus: int = options.get("cpus", 1)
        self._gpus: float | None = options.get("gpus")
        self._memory: float | None = options.get("memory_gb")
        self._task: Any = None

    def threads(self, parallel: int, jobs: int) -> int | None:
        """See :meth:`Engine.threads`."""
        return self._cpus

    def submit(self, attempts: Sequence[Attempt], parallel: int) -> Sequence[Any]:
        """See :meth:`Engine.submit`."""
        if self._task is None:
            self._connect()
            self._task = self._ray.remote(**self._needs())(_call)
        return [self._task.options(name=attempt.label).remote(attempt) for attempt in attempts]

    def _connect(self) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)
        before = signal.getsignal(signal.SIGTERM)
        place = self._address or os.environ.get("RAY_ADDRESS") or "this machine"
        try:
            _check_answers(place)
            self._ray.init(
                self._address, include_dashboard=False, log_to_driver=False, configure_logging=False
            )
        except (RuntimeError, OSError, ValueError, self._ray.exceptions.RayError) as error:
            raise InputError(
                f"launcher='ray': no connection to a cluster at {place} ({error}); call the "
                "command on a node of the cluster, with the address that 'ray start' has shown"
            ) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray sets its own.

    def _needs(self) -> dict[str, Any]:
        """The resources that a task needs of its node; tells the user if no node has them."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if self._gpus is None:
            self._gpus = min(1.0, max(node.get("GPU", 0.0) for node in nodes))
        needs = {"CPU": self._cpus, "GPU": self._gpus, "memory": (self._memory or 0) * 2**30}
        if not any(
            all(node.get(name, 0) >= least for name, least in needs.items()) for node in nodes
        ):
            memory = f" and {self._memory:g} GB" if self._memory else ""
            tell(
                f"no node of the cluster has {self._cpus} CPUs, {self._gpus:g} GPUs{memory} for a "
                "run; the runs wait until one joins"
            )
        return {
            "num_cpus": self._cpus,
            "num_gpus": self._gpus,
            "memory": needs["memory"] or None,
            # The launcher itself submits a lost run again, on every job system in the same way.
            "max_retries": 0,
        }

    def end(self, handle: Any) -> str | None:
        """See :meth:`Engine.end`."""
        ready, _ = self._ray.wait([handle], timeout=0)
        if not ready:
            return None
        try:
            self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:
            raise InputError(str(error.cause)) from error
        except self._ray.exceptions.RayError as error:
            return type(error).__name__
        return "its task has ended"

    def cancel(self, handles: Sequence[Any]) -> None:
        """See :meth:`Engine.cancel`."""
        if not handles:
            return
        for handle in handles:
            self._ray.cancel(handle)
        _, running = self._ray.wait(list(handles), num_returns=len(handles), timeout=_PATIENCE)
        for handle in running:
            self._ray.cancel(handle, force=True)

    def close(self) -> None:
        """End the connection, and a cluster of this machine alone."""
        if self._task is not None:
            self._ray.shutdown()


def _call(attempt: Attempt) -> None:
    attempt()


def _check_answers(place: str) -> None:
    """Raise an error if nobody answers at ``HOST:PORT``: Ray would try for minutes."""
    if found := re.fullmatch(r"([^:/]+):(\d+)", place):
        socket.create_connection((found[1], int(found[2])), timeout=_PATIENCE).close()
