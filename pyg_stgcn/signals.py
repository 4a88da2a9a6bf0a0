"""Signals that end a process, as exceptions that unwind the stack."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

#: Set for a process that has to end when its standard input does, see :func:`end_with_input`.
END_WITH_INPUT = "PYG_STGCN_END_WITH_INPUT"


class Stopped(SystemExit):
    """A signal has asked this process to end; its exit code is that of a shell, 128 + number.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)
        #: What the user can do to go on.
        self.remedy = "start the same command again"

    def __str__(self) -> str:
        return f"stopped by {self.signal.name}; {self.remedy}"


@contextlib.contextmanager
def stop_on(*names: str) -> Iterator[None]:
    """Within the context, signals raise :class:`Stopped` in the main thread.

    So does any other error after such a signal: it may come from what the signal has cut short.
    A signal that is ignored, as under nohup, or handled by the caller stays so. Does nothing
    outside the main thread, which alone may set handlers.

    Args:
        *names: Of the signals; those that the system lacks are left out.
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
            # Code in C can swallow the exception, as torch does while it imports numpy, and then
            # fail for want of what was not finished.
            raise Stopped(received[0]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_input() -> None:
    """Terminate this process when its standard input ends, if :data:`END_WITH_INPUT` is set.

    Whoever starts it holds the other end of that pipe, which the system closes however the holder
    dies.
    """
    if os.environ.get(END_WITH_INPUT):
        threading.Thread(target=_wait_for_end_of_input, daemon=True).start()


def _wait_for_end_of_input() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
