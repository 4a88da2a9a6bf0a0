"""Signals that end a process, as exceptions that unwind the stack."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

#: Environment variable of processes that end with their standard input, see
#: :func:`end_with_input`.
END_WITH_INPUT = "PYG_STGCN_END_WITH_INPUT"


class Stopped(SystemExit):
    """A signal asked this process to end; the exit code is 128 + number, as in a shell.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)
        #: Advice to the user, the end of the message.
        self.remedy = "start the same command again"

    def __str__(self) -> str:
        return f"stopped by {self.signal.name}; {self.remedy}"


@contextlib.contextmanager
def stop_on(*names: str) -> Iterator[None]:
    """Within the context, signals raise :class:`Stopped` in the main thread.

    Any other error after such a signal becomes :class:`Stopped` too: the signal may have caused it.
    Signals that are ignored, as under nohup, or handled by the caller are left alone. Outside the
    main thread, the function does nothing: only the main thread may set handlers.

    Args:
        *names: Names of the signals; names that the system does not know are left out.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    received = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise Stopped(number)

    untouched = (signal.SIG_DFL, signal.default_int_handler)
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {
            number: handler
            for number in numbers
            if (handler := signal.getsignal(number)) in untouched
        }
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    except Exception as error:
        if received:
            # Code in C can swallow the exception, as torch does while it imports numpy, and fail
            # later.
            raise Stopped(received[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def delayed(*names: str) -> Iterator[list[int]]:
    """Within the context, signals are only noted; at its end the first one takes effect.

    For code that waits for other threads: an exception between two instructions could leave a lock
    of theirs taken, and nobody would end. Such code looks at the list from time to time, and waits
    with a timeout: a signal just before a wait does not interrupt it. Signals that are ignored are
    left alone, and outside the main thread the function does nothing.

    Args:
        *names: Names of the signals; names that the system does not know are left out.

    Yields:
        list of int: Numbers of the signals that have arrived.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in numbers}
        # None: a handler that C has set, which Python could not restore.
        untouchable = (signal.SIG_IGN, None)
        before = {n: handler for n, handler in handlers.items() if handler not in untouchable}
    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def end_with_input() -> None:
    """Terminate this process when its standard input ends, if :data:`END_WITH_INPUT` is set.

    The parent process holds the other end of that pipe. The operating system closes it when the
    parent ends, even by a kill.
    """
    if os.environ.get(END_WITH_INPUT):
        threading.Thread(target=_wait_for_end_of_input, daemon=True).start()


def _wait_for_end_of_input() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
