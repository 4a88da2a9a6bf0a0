"""Standard input, output and error: closed at the start, without a reader, or on a full disk."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import click


def open_closed_streams() -> None:
    """Open the null device in place of standard streams that are closed, as by ``>&-``.

    Otherwise the next file would get the number of the stream, and receive its output.
    """
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest free number, that of the stream.
            opened = os.open(os.devnull, os.O_RDWR)
            # It stays open until the process ends.
            setattr(sys, name, open(opened, mode, closefd=False))  # noqa: SIM115


@contextlib.contextmanager
def readable_output() -> Iterator[None]:
    """End as other programs do if standard output or error cannot be written.

    If its reader has gone, as in ``pyg-stgcn ... | head``, the exit code is 128 + SIGPIPE and there
    is no message. Any other error becomes a :class:`click.ClickException`.
    """
    try:
        yield
    except OSError as error:
        if not _is_of_output(error):
            raise
        if isinstance(error, BrokenPipeError):
            end_unread()
        _discard_output()
        message = f"standard output: {error.strerror or error}; write it somewhere else"
        raise click.ClickException(message) from error


def output_is_unread() -> bool:
    """Whether standard output is a pipe or a terminal whose reader has gone."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # A test or another program may replace the stream.
        return False
    if not hasattr(select, "poll"):  # Windows
        return False
    gone = select.POLLERR | select.POLLHUP
    poll = select.poll()
    poll.register(number, 0)
    return any(events & gone for _, events in poll.poll(0))


def end_unread() -> NoReturn:
    """End as :func:`readable_output` does if the reader of the output has gone."""
    _discard_output()
    raise SystemExit(128 + getattr(signal, "SIGPIPE", 13))


def _is_of_output(error: OSError) -> bool:
    """Whether click or rich was writing; files are written by other modules."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "").split(".")[0] in ("click", "rich")


def _discard_output() -> None:
    """Send the rest of the output to the null device; Python flushes it when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError):  # A test or another program may replace the stream.
        os.dup2(null, sys.stdout.fileno())
