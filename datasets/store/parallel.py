"""Work through many things on all cores."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 16
_AHEAD = 4
#: Seconds after which a process looks for its parent again.
_LOOK = 0.5
#: With fewer items, starting processes costs more than it saves.
MIN_ITEMS = 256


def map_chunks(
    function: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    chunk: int = _CHUNK,
    min_items: int = MIN_ITEMS,
) -> Generator[Result, None, None]:
    """Apply :obj:`function` to chunks of :obj:`items`, in several processes if there are many.

    Results come in the order of the items. No more than a few chunks per process are computed
    ahead of those taken, so that memory stays bounded however slow the taker is.

    Args:
        function: Turns some items into as many results; has to be picklable.
        items: What to work through.
        chunk: Number of items of a chunk.
        min_items: Number of items from which on several processes work.

    Raises:
        Exception: Whatever :obj:`function` raises, when the results before are taken.
    """
    chunks = (items[i : i + chunk] for i in range(0, len(items), chunk))
    workers = _num_cores() if len(items) >= min_items else 1
    if workers == 1:
        for part in chunks:
            yield from function(part)
        return
    pending: deque[Future[list[Result]]] = deque()
    with ProcessPoolExecutor(workers, initializer=_end_with, initargs=(os.getpid(),)) as pool:
        try:
            for part in chunks:
                if len(pending) == _AHEAD * workers:
                    yield from pending.popleft().result()
                pending.append(pool.submit(function, part))
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _end_with(parent: int) -> None:
    """End this process soon after its parent, which a kill may keep from ending it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _num_cores() -> int:
    if multiprocessing.current_process().daemon:  # It may not start processes.
        return 1
    if hasattr(os, "sched_getaffinity"):  # In a container these may be fewer than the machine's.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
