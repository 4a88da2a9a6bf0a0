"""The end of an interrupted training, with all its processes."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import distributed

from pyg_stgcn.training.machines import MachineLostError, Machines

#: Seconds in which another machine tells why it has ended.
_PATIENCE = 4.0
#: Words in the errors of the libraries that send messages between processes.
_OF_MESSAGES = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


class OwnSignals(Callback):
    """Keeps the handler of SIGTERM from before the training.

    Lightning's handler ends the process with exit code 0, as if the training were finished, and
    waits for other processes, which may wait for this one.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


def end_launched(trainer: pl.Trainer) -> None:
    """Kill the processes that a trainer has started; they would wait for this one."""
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        # Lightning watches the processes on the list, and kills this one when they end.
        processes = list(launcher.procs)
        launcher.procs.clear()
        for process in processes:
            process.kill()


def say_goodbye() -> None:
    """Wait until all processes have finished the training, and close their connections.

    A process that ended while others still sent it messages could end them.
    """
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def lost_process(error: BaseException, machines: Machines | None, remedy: str) -> Exception | None:
    """The error to report if another process has ended, as the connection to it has broken.

    Args:
        error: Of the training.
        machines: The connection to other machines, if there are any.
        remedy: What to do, the end of the message.

    Returns:
        :obj:`None` if the error has another cause.
    """
    of_messages = isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in _OF_MESSAGES)
    )
    if not of_messages:
        return None
    if machines is None:
        return MachineLostError(
            "another process of this training has ended: by an error, which it has printed, or it "
            f"was killed; {remedy}"
        )
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):
            if (lost := machines.heartbeat.find_lost()) is not None:
                return MachineLostError(lost)
        time.sleep(0.1)
    return MachineLostError(
        f"the connection to {machines.peer_in(str(error))} has broken: its process has ended, or "
        f"the network is down; look at its output, then {remedy}"
    )
