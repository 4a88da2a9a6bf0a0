from __future__ import annotations

import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from pyg_stgcn.training.stopping import OwnSignals, end_launched


def fit_hooks(replaced: Any) -> object:
    """The handler of SIGTERM that a training ends up with, after Lightning has set another one."""
    callback, module = OwnSignals(), pl.LightningModule()
    trainer: Any = SimpleNamespace()
    callback.setup(trainer, module, "fit")
    signal.signal(signal.SIGTERM, replaced)
    callback.on_train_start(trainer, module)
    return signal.getsignal(signal.SIGTERM)


def test_the_handler_from_before_the_training_stays() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def mine(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGTERM, mine)
    try:
        assert fit_hooks(signal.SIG_IGN) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_leave_handlers_alone() -> None:
    """Only the main thread may set one: Python would raise an error."""
    callback, module = OwnSignals(), pl.LightningModule()
    trainer: Any = SimpleNamespace()
    failed: list[threading.ExceptHookArgs] = []

    def train() -> None:
        callback.setup(trainer, module, "fit")
        callback.on_train_start(trainer, module)

    thread = threading.Thread(target=train)
    hook, threading.excepthook = threading.excepthook, failed.append
    try:
        thread.start()
        thread.join()
    finally:
        threading.excepthook = hook
    assert not failed


def test_launched_processes_are_killed_and_forgotten() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    launcher = object.__new__(_SubprocessScriptLauncher)
    launcher.procs = [process]
    end_launched(SimpleNamespace(strategy=SimpleNamespace(launcher=launcher)))
    assert process.wait(60) == -signal.SIGKILL
    assert launcher.procs == []
    end_launched(SimpleNamespace(strategy=SimpleNamespace(launcher=None)))
