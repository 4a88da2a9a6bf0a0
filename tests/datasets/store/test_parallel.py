from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence

import pytest

from pyg_stgcn.datasets.store.parallel import MIN_ITEMS, map_chunks


def square(items: Sequence[int]) -> list[tuple[int, int]]:
    return [(item**2, os.getpid()) for item in items]


def fail_at_300(items: Sequence[int]) -> list[int]:
    if 300 in items:
        raise ValueError("300 is no good")
    return list(items)


@pytest.mark.parametrize("count", [0, 1, 16, 17, MIN_ITEMS - 1, MIN_ITEMS, 5000])
def test_results_come_in_order(count: int) -> None:
    results = [value for value, _ in map_chunks(square, range(count))]
    assert results == [item**2 for item in range(count)]


def test_few_items_stay_in_this_process() -> None:
    processes = {process for _, process in map_chunks(square, range(MIN_ITEMS - 1))}
    assert processes == {os.getpid()}


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores",
)
def test_many_items_go_to_other_processes() -> None:
    processes = {process for _, process in map_chunks(square, range(5000))}
    assert os.getpid() not in processes


def test_an_error_comes_after_the_results_before_it() -> None:
    results = map_chunks(fail_at_300, range(1000))
    assert [next(results) for _ in range(288)] == list(range(288))
    with pytest.raises(ValueError, match="300 is no good"):
        next(results)


def test_who_stops_early_gets_no_more() -> None:
    results = map_chunks(square, range(100_000))
    assert next(results)[0] == 0
    results.close()
    assert list(results) == []


def sleep(items: Sequence[int]) -> list[int]:
    os.write(items[0], b".")
    time.sleep(60)
    return list(items)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that inherit a pipe")
@pytest.mark.timeout(60)
def test_processes_end_with_a_parent_that_is_killed() -> None:
    reader, writer = os.pipe()
    parent = multiprocessing.get_context("fork").Process(
        target=lambda: list(map_chunks(sleep, [writer] * 4, chunk=1, min_items=1))
    )
    parent.start()
    os.close(writer)
    assert os.read(reader, 1) == b".", "a process works"
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    while os.read(reader, 1):
        pass
    os.close(reader)
