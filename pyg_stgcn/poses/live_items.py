"""Items that come at their own pace, such as the images of a camera, in a bounded queue."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: Seconds after which the reader looks whether it should stop.
_PATIENCE = 0.1


class LiveItems(Generic[T]):
    """Items that a thread takes from their source while others are worked on.

    Args:
        items: The source, which may wait for its next item.
        size: Most items in the queue.
        drop: Whether the oldest item is dropped if the queue is full, as for a camera. Else the
            source waits. The first item, which may describe the others, is never dropped.
        should_stop: Ends the iteration if it is true, even while the source waits.

    Example:
        >>> for image, dropped in LiveItems(camera, size=1, drop=True):  # doctest: +SKIP
        ...     print(estimate(image), f"{dropped} images before this one were dropped")
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        size: int = 1,
        drop: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._items, self._size, self._drop = items, size, drop
        self._should_stop = should_stop
        self._changed = threading.Condition()
        self._queue: deque[T] = deque()
        self._lost = 0
        self._begun = self._ended = False
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[tuple[T, int]]:
        """Each item, and the number of those before it that were dropped.

        Raises:
            BaseException: What the source raises, after the items before.
        """
        # It may wait in the system for ever, so that it cannot be joined.
        threading.Thread(target=self._read, daemon=True).start()
        try:
            while not self._should_stop():
                with self._changed:
                    if not self._queue and not self._ended:
                        self._changed.wait(_PATIENCE)
                    if not self._queue:
                        if self._ended:
                            break
                        continue
                    found = self._queue.popleft(), self._lost
                    self._lost, self._begun = 0, True
                    self._changed.notify_all()
                yield found
            if self._error is not None and not self._queue:
                raise self._error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _read(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # The reader raises it.
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Add an item to the queue; return whether there is a reader."""
        with self._changed:
            if self._drop and self._begun and len(self._queue) == self._size:
                self._queue.popleft()
                self._lost += 1
            while len(self._queue) == self._size and not self._ended:
                self._changed.wait()
            if not self._ended:
                self._queue.append(item)
                self._changed.notify_all()
            return not self._ended
