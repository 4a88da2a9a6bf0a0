"""Items that come at their own pace."""

import threading

import pytest

from pyg_stgcn.poses.live_items import LiveItems

pytestmark = pytest.mark.timeout(600)


def test_a_slow_reader_gets_all_items_of_a_source_that_can_wait():
    assert list(LiveItems(range(500), size=3)) == [(n, 0) for n in range(500)]


def test_of_a_source_that_cannot_wait_the_newest_come_and_the_others_are_counted():
    taken, go_on = threading.Event(), threading.Event()

    def source():
        yield 0
        assert taken.wait(600)
        yield from range(1, 10)
        go_on.set()

    found = []
    for item, dropped in LiveItems(source(), size=2, drop=True):
        found.append((item, dropped))
        taken.set()
        assert go_on.wait(600)
    assert found == [(0, 0), (8, 7), (9, 0)]


def test_the_first_item_is_never_dropped_because_it_may_describe_the_others():
    assert next(iter(LiveItems(range(100_000), size=1, drop=True))) == (0, 0)


def test_the_reader_can_stop_while_the_source_waits():
    assert list(LiveItems(iter(threading.Event().wait, None), should_stop=lambda: True)) == []


def test_a_source_ends_when_the_reader_has_gone():
    ended = threading.Event()

    def source():
        try:
            yield from iter(int, 1)
        finally:
            ended.set()

    items = iter(LiveItems(source()))
    next(items)
    items.close()
    assert ended.wait(600)


def test_an_error_of_the_source_comes_after_the_items_before():
    def source():
        yield 1
        raise ValueError("gone")

    items = iter(LiveItems(source(), size=4))
    assert next(items) == (1, 0)
    with pytest.raises(ValueError, match="gone"):
        next(items)
