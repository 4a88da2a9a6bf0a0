"""Signs of life of the machines of a training."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from torch.distributed import Store

logger = logging.getLogger(__name__)

#: Seconds between two signs of life.
BEAT = 1.0
#: Seconds without a sign of life after which a machine counts as lost.
SILENCE = 30.0
#: Seconds in which this process may end by itself after another machine was lost.
GRACE = 5.0


class Heartbeat:
    """Counts up a number of this machine, and watches the numbers of the others.

    One thread exchanges the numbers; another one looks at the clock only, because a network that is
    down blocks the first.

    Args:
        connect: Makes a connection to the store that all machines share.
        rank: Number of this machine.
        count: Number of machines.
        name: Name of a machine for messages, by its number.
        leads: Whether this process is the first of its machine, which gives the signs of life.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        rank: int,
        count: int,
        name: Callable[[int], str],
        *,
        leads: bool,
    ) -> None:
        self._connect = connect
        self.rank, self.count, self.leads = rank, count, leads
        self._name = name
        self._beats = dict.fromkeys(range(count), 0)
        self._seen: dict[int, float] = {}
        self._ended: dict[int, str | None] = {}
        self._contact = time.monotonic()
        self._broken = False
        self._stopped = threading.Event()
        #: End of the message, and what to do before the end of this process; set by the training.
        self.remedy = "start all machines again"
        self.kill_processes: Callable[[], object] = bool
        threading.Thread(target=self._exchange, daemon=True, name="heartbeat").start()

    def watch(self) -> None:
        """End this process if another machine is lost and nothing else ends it."""
        threading.Thread(target=self._watch, daemon=True, name="lost-machines").start()

    def stop(self) -> None:
        self._stopped.set()

    def find_lost(self) -> str | None:
        """Why the training cannot go on, and the remedy; :obj:`None` if all machines live."""
        lost = self._find_lost()
        return None if lost is None else f"{lost}; {self.remedy}"

    def _find_lost(self) -> str | None:
        now = time.monotonic()
        for rank, reason in sorted(self._ended.items()):
            if reason is not None:
                return f"{self._name(rank)} has stopped: {reason}"
        if 0 in self._ended:
            return None  # It needs the others no longer, nor they it.
        if self.rank != 0 and (self._broken or now - self._contact > SILENCE):
            return f"{self._name(0)}, which the others need, has ended or cannot be reached"
        for rank, seen in sorted(self._seen.items()):
            if rank not in self._ended and now - seen > SILENCE:
                return (
                    f"{self._name(rank)} has given no sign of life for {SILENCE:.0f} s: it was "
                    "killed, or the network is down"
                )
        return None

    def _exchange(self) -> None:
        try:
            store = self._connect()
            while not self._stopped.is_set():
                if self.leads:
                    store.add(f"beat/{self.rank}", 1)
                for rank in range(self.count):
                    self._look_at(store, rank)
                self._contact = time.monotonic()
                self._stopped.wait(BEAT)
        except RuntimeError:  # The connection has broken.
            self._broken = True

    def _look_at(self, store: Store, rank: int) -> None:
        if rank == self.rank and self.leads:
            return
        beats = store.add(f"beat/{rank}", 0)
        if beats > self._beats[rank]:
            self._beats[rank], self._seen[rank] = beats, time.monotonic()
        if rank not in self._ended and store.check([f"end/{rank}"]):
            self._ended[rank] = json.loads(store.get(f"end/{rank}"))

    def _watch(self) -> None:
        while not self._stopped.wait(0.2):
            if (lost := self.find_lost()) is None:
                continue
            if self._stopped.wait(GRACE):
                return
            if self.leads:
                logger.error("%s", lost)
            sys.stderr.flush()
            self.kill_processes()
            os._exit(1)
