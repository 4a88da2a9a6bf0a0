"""The end of an interrupted training, with all its processes."""

from __future__ import annotations

import signal
import threading

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher


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
