from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from pyg_stgcn.signals import END_WITH_INPUT, Stopped, delayed, stop_on

#: A command that says when it has begun, and goes on until it is stopped.
WAITING = """
import time, types
import click, pyg_stgcn.cli as cli
@click.command()
def command():
    try:
        print("begun", flush=True)
        time.sleep(600)
    finally:
        print("cleared up", flush=True)
cli.import_module = lambda name: types.SimpleNamespace(command=command)
cli.main(["profile"], prog_name="pyg-stgcn")
"""
SIGNALS = [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)]


def start(ignored: tuple[signal.Signals, ...] = (), **environment: str) -> subprocess.Popen[str]:
    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    words = [sys.executable, "-c", WAITING]
    environ = {**os.environ, **environment}
    process = subprocess.Popen(words, env=environ, text=True, preexec_fn=prepare, **pipes)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_signal_ends_any_command_with_its_exit_code(name: str, code: int) -> None:
    process = start()
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == "cleared up\n"
    assert err == f"Error: stopped by {name}; start the same command again\n"


def test_ignored_signals_stay_ignored() -> None:
    process = start(ignored=(signal.SIGHUP,))
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_the_end_of_the_input_ends_a_job_alone() -> None:
    process = start()
    assert process.stdin is not None
    process.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.kill()
    process.wait()
    job = start(**{END_WITH_INPUT: "1"})
    job.communicate(timeout=60)
    assert job.returncode == 143


def test_whoever_reads_the_progress_may_be_gone() -> None:
    process = start()
    assert process.stderr is not None
    process.stderr.close()
    process.terminate()
    assert process.wait(timeout=60) == 143


def test_handlers_of_the_caller_are_left_alone() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with stop_on("SIGTERM", "SIGUSR1", "SIGNONE"):
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(Stopped, match="stopped by SIGUSR1"):
                os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_other_threads_set_no_handlers() -> None:
    done = []

    def run() -> None:
        with stop_on("SIGTERM"):
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]


def test_an_error_after_a_swallowed_signal_is_the_signal() -> None:
    with pytest.raises(Stopped, match="stopped by SIGTERM") as caught, stop_on("SIGTERM"):
        with contextlib.suppress(Stopped):
            signal.raise_signal(signal.SIGTERM)
        raise RecursionError("half imported")
    assert caught.value.code == 143 and isinstance(caught.value.__cause__, RecursionError)


def test_delayed_signals_take_effect_at_the_end() -> None:
    with pytest.raises(Stopped, match="stopped by SIGUSR1"), stop_on("SIGUSR1", "SIGUSR2"):
        with delayed("SIGUSR1", "SIGUSR2", "SIGNONE") as received:
            assert received == []
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)
            assert received == [signal.SIGUSR1, signal.SIGUSR2]
        pytest.fail("the signal has no effect")
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_delayed_leaves_ignored_signals_alone() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with delayed("SIGUSR1") as received:
            signal.raise_signal(signal.SIGUSR1)
        assert received == []
    finally:
        signal.signal(signal.SIGUSR1, before)
