"""One process builds a store, the others wait."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pyg_stgcn.errors import InputError

logger = logging.getLogger(__name__)


@contextmanager
def building_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of the store at :obj:`folder`; wait while another process has it.

    Raises:
        InputError: If the lock file beside the store cannot be written.
    """
    lock = _acquire(folder)
    try:
        yield
    finally:
        lock.release()


def _acquire(folder: Path) -> FileLock:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f"{folder.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("%s: waiting for the process that is building it", folder)
            lock.acquire()
    except OSError as error:
        raise InputError(
            f"{folder.parent}: the store cannot be written ({error.strerror or error}); make it "
            "writable or choose another folder with --root"
        ) from error
    return lock
