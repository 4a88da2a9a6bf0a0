"""Handles of the library: one thread at a time, closed once."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyg_stgcn.errors import InputError


class Handle:
    """A model or a stream of the library, closed at the latest when nobody refers to it.

    Args:
        address: The handle.
        close: The function of the library that closes it.
        error: The function that gives its last message.
        name: Name for messages.
        keeps: What the handle needs as long as it is open; it is not closed before.
    """

    def __init__(
        self,
        address: int,
        close: Callable[[int], None],
        error: Callable[[int], bytes],
        name: str,
        keeps: Any = None,
    ) -> None:
        self._address: int | None = address
        self._error, self._name = error, name
        #: Held by the thread that uses the handle.
        self.lock = threading.RLock()
        self._finalizer = weakref.finalize(self, _close, close, address, keeps)
        # The process ends anyway, and other threads may still use the handle then.
        self._finalizer.atexit = False

    def call(self, function: Callable[..., int], *arguments: Any) -> int:
        """Call a function of the library with the handle; threads wait for each other.

        Raises:
            InputError: The handle is closed, or the function reports an error.
        """
        with self.opened() as address:
            result = function(address, *arguments)
            if result is not None and result < 0:
                raise InputError(self._error(address).decode("utf-8", "replace"))
            return result

    def text(self, function: Callable[..., bytes | None], *arguments: Any) -> str:
        """Call a function that gives a text."""
        with self.opened() as address:
            return (function(address, *arguments) or b"").decode("utf-8", "replace")

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The handle, for this thread alone.

        Raises:
            InputError: It is closed.
        """
        with self.lock:
            if self._address is None:
                raise InputError(f"{self._name} is closed; open it again")
            yield self._address

    def close(self) -> None:
        """Close it; again is allowed."""
        with self.lock:
            self._address = None
            self._finalizer()


def _close(close: Callable[[int], None], address: int, keeps: Any) -> None:
    close(address)
