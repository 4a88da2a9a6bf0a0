"""The machines of a training: they meet, compare what they train, and notice when one is lost."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from torch.distributed import PrefixStore, Store, TCPStore

from pyg_stgcn.errors import InputError
from pyg_stgcn.progress import tell
from pyg_stgcn.signals import Stopped
from pyg_stgcn.training.addresses import choose_interface, own_address
from pyg_stgcn.training.agreement import find_difference
from pyg_stgcn.training.heartbeat import Heartbeat

logger = logging.getLogger(__name__)

#: Seconds in which all machines must start, after the first of them.
MEETING = 600.0
#: Seconds after which a line tells which machines are awaited.
_QUIET = 3.0
_PAUSE = 0.1
#: Seconds that a failed first machine waits until the others have read why.
_FAREWELL = 3.0
_STORE_TIMEOUT = timedelta(seconds=20)
_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


class MachineLostError(InputError):
    """Another machine or process of the training has ended, or cannot be reached."""


def cluster_environment(num_nodes: int) -> ClusterEnvironment:
    """How the processes of several machines were started: by torchrun, Slurm, LSF, MPI or by hand.

    Args:
        num_nodes: Number of machines.

    Raises:
        InputError: By hand, and variables that tell the machines apart are not set or wrong.
    """
    kinds: tuple[Any, ...] = (
        TorchElasticEnvironment,
        SLURMEnvironment,
        LSFEnvironment,
        MPIEnvironment,
    )
    for kind in kinds:
        if kind.detect():
            return cast(ClusterEnvironment, kind())
    example = (
        "give all machines MASTER_ADDR (address of the first) and MASTER_PORT (a free port there), "
        f"and each its own NODE_RANK from 0 to {num_nodes - 1}; or start with torchrun or srun"
    )
    for name in _VARIABLES:
        if not os.environ.get(name):
            raise InputError(f"num_nodes {num_nodes}: {name} is not set; {example}")
    for name, end in (("MASTER_PORT", 2**16), ("NODE_RANK", num_nodes)):
        value = os.environ[name]
        if not value.isdecimal() or int(value) >= end:
            raise InputError(f"num_nodes {num_nodes}: {name} is {value!r}; {example}")
    return LightningEnvironment()


class Machines:
    """This machine's connection to the others of a training.

    All know each other by a store of small values, which the first machine serves on
    ``MASTER_ADDR:MASTER_PORT``, as the process group of torch does; no other port is needed.

    Args:
        environment: Addresses and numbers, see :func:`cluster_environment`.
        count: Number of machines.
        patience: Seconds in which all machines must start.

    Raises:
        InputError: The first machine cannot be reached, or two machines have one number.
    """

    def __init__(
        self, environment: ClusterEnvironment, count: int, patience: float = MEETING
    ) -> None:
        self.environment = environment
        self.rank, self.count = environment.node_rank(), count
        self.leads = environment.local_rank() == 0
        self._place = environment.main_address, environment.main_port
        self._patience = patience
        self._hosts: dict[int, str] = {}
        self._addresses: dict[int, str] = {}
        self._store = self._enter()
        self._register()
        self.heartbeat = Heartbeat(self._connect, self.rank, count, self.name, leads=self.leads)

    def name(self, rank: int) -> str:
        """Name of a machine for messages."""
        host = self._hosts.get(rank)
        return f"machine {rank}" if host is None else f"{host} (machine {rank})"

    def peer_in(self, message: str) -> str:
        """Name of the machine whose address an error of the network has; else of all others."""
        for rank, address in self._addresses.items():
            if rank != self.rank and f"[{address}]" in message:
                return self.name(rank)
        return " or ".join(self.name(rank) for rank in range(self.count) if rank != self.rank)

    def _enter(self) -> Store:
        """Serve the store, or connect to it as soon as it is served."""
        address, port = self._place
        served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        if self.rank == 0 and self.leads and not served:
            try:
                # Kept: the process group of torch shares it.
                self._server = TCPStore(
                    address,
                    port,
                    is_master=True,
                    wait_for_workers=False,
                    timeout=_STORE_TIMEOUT,
                    multi_tenant=True,
                )
            except RuntimeError as error:
                raise InputError(
                    f"MASTER_PORT {port}: cannot be used on {socket.gethostname()} "
                    f"({_brief(error)}); is MASTER_ADDR {address} its address? Else choose another "
                    "free port, the same on all machines"
                ) from None
            return self._connect()
        deadline, told = time.monotonic() + self._patience, False
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((address, port), timeout=2).close()
                break
            if time.monotonic() > deadline:
                raise InputError(
                    f"MASTER_ADDR {address}, MASTER_PORT {port}: the first machine did not answer "
                    f"within {self._patience:.0f} s; start the training there, and see whether a "
                    "firewall closes the port"
                )
            if not told:
                tell(f"waiting for the first machine at {address}, port {port}")
                told = True
            time.sleep(_PAUSE)
        return self._connect()

    def _connect(self) -> Store:
        """A connection to the store, for one thread."""
        address, port = self._place
        store = TCPStore(
            address, port, is_master=False, wait_for_workers=False, timeout=_STORE_TIMEOUT
        )
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return PrefixStore(f"pyg-stgcn/{attempt}", store)

    def _register(self) -> None:
        if not self.leads:
            return
        host = socket.gethostname()
        if self._store.add(f"taken/{self.rank}", 1) > 1:
            raise InputError(
                f"NODE_RANK {self.rank}: another machine or training has this number at "
                f"{self._place[0]}, port {self._place[1]}; give each machine its own number, and "
                "each training its own MASTER_PORT"
            )
        try:
            address = own_address(self._place[0])
        except OSError:
            address = "127.0.0.1"
        self._store.set(f"host/{self.rank}", json.dumps([host, address]))

    def meet(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """Wait for all machines, and compare what they are about to train.

        Args:
            description: Of this machine, see :func:`~pyg_stgcn.training.agreement.describe`.

        Returns:
            The description of the first machine.

        Raises:
            InputError: The machines are about to train different things, or one did not start.
            MachineLostError: One has ended.
        """
        if self.leads:
            self._store.set(f"plan/{self.rank}", json.dumps(description))
        places = [json.loads(text) for text in self._of_all("host", self._patience)]
        for rank, (host, address) in enumerate(places):
            self._hosts[rank], self._addresses[rank] = host, address
        # Their data may take hours to prepare; the heartbeat tells whether they still live.
        plans = [json.loads(text) for text in self._of_all("plan", float("inf"))]
        for rank in range(1, self.count):
            difference = find_difference(plans[0], plans[rank], self.name(0), self.name(rank))
            if difference is not None:
                raise InputError(difference)
        choose_interface(self._addresses, self.rank)
        return dict(plans[0])

    def _of_all(self, kind: str, patience: float) -> list[bytes]:
        start, told = time.monotonic(), False
        while True:
            missing = [r for r in range(self.count) if not self._store.check([f"{kind}/{r}"])]
            if not missing:
                return [self._store.get(f"{kind}/{rank}") for rank in range(self.count)]
            names = ", ".join(self.name(rank) for rank in missing)
            self.check()
            waited = time.monotonic() - start
            if waited > patience:
                raise InputError(
                    f"num_nodes {self.count}: {names} did not start within {patience:.0f} s; start "
                    "the same command on all machines"
                )
            if waited > _QUIET and not told:
                tell(f"waiting for {names}")
                told = True
            time.sleep(_PAUSE)

    def check(self) -> None:
        """Raise an error if a machine is lost.

        Raises:
            MachineLostError: Names it.
        """
        if (lost := self.heartbeat.find_lost()) is not None:
            raise MachineLostError(lost)

    def leave(self, reason: str | None) -> None:
        """Tell the others that this machine has done its part, or why it ends.

        Args:
            reason: The message of an error.
        """
        with contextlib.suppress(RuntimeError):  # The first machine may be lost.
            if self.leads or reason is not None:
                self._store.set(f"end/{self.rank}", json.dumps(reason))
            if reason is not None and self.rank == 0 and self.leads:
                self._wait_for_readers()
        self.heartbeat.stop()

    def _wait_for_readers(self) -> None:
        """Serve the store, which ends with this process, until the others know why it ends."""
        deadline = time.monotonic() + _FAREWELL
        others = [rank for rank in self._hosts if rank != 0]
        while time.monotonic() < deadline:
            if all(self._store.check([f"end/{rank}"]) for rank in others):
                break
            time.sleep(_PAUSE)


@contextlib.contextmanager
def joined_machines(num_nodes: int) -> Iterator[Machines | None]:
    """Connect to the other machines within the context; :obj:`None` for a single machine.

    If another machine is lost and this process waits for it in C++, which no exception can end, the
    process prints the reason and exits with code 1.

    Raises:
        InputError: The machines cannot meet.
    """
    if num_nodes == 1:
        yield None
        return
    machines = Machines(cluster_environment(num_nodes), num_nodes)
    machines.heartbeat.watch()
    try:
        yield machines
    except BaseException as error:
        machines.leave(_brief(error) or type(error).__name__)
        raise
    machines.leave(None)


def _brief(error: BaseException) -> str:
    if isinstance(error, Stopped):
        return f"stopped by {error.signal.name}"  # Its remedy is for this machine.
    lines = str(error).splitlines()
    return lines[0] if lines else ""
