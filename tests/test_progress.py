from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

import pytest

from pyg_stgcn.cli._output import logged_lines
from pyg_stgcn.progress import Pace, bars, tell, transfer, with_progress


def test_the_command_line_prints_lines_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with logged_lines():
        tell("epoch 1\x1b[2J")
    tell("outside")
    assert capsys.readouterr() == ("", "epoch 1\\x1b[2J\n")


def test_python_shows_them_where_its_logging_does(caplog: pytest.LogCaptureFixture) -> None:
    tell("hidden")
    with caplog.at_level("INFO"):
        tell("100 % seen")
    assert caplog.messages == ["100 % seen"]


def test_the_pace_is_that_since_the_restart() -> None:
    now = [0.0]
    pace = Pace(100, 10, clock=lambda: now[0])
    assert pace.left is None
    now[0], pace.done = 50.0, 20
    pace.restart()
    assert pace.left is None
    now[0], pace.done = 60.0, 40  # Twenty in ten seconds.
    assert pace.left == 30


def test_long_work_has_a_line_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("pyg_stgcn.progress.Pace", partial(Pace, clock=lambda: now[0]))
    caplog.set_level("INFO")

    def items() -> Iterator[int]:
        for number in range(3_200):
            now[0] += 0.125
            yield number

    assert list(with_progress(items(), "Reading a", total=3_200)) == list(range(3_200))
    assert caplog.messages[0].startswith("Reading a: 40 of 3,200, ")
    assert len(caplog.messages) == 14
    caplog.clear()
    assert list(with_progress(range(3), "Reading a")) == [0, 1, 2]
    assert caplog.messages == []


def test_a_download_has_lines_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("pyg_stgcn.progress.Pace", partial(Pace, clock=lambda: now[0]))
    caplog.set_level("INFO")
    with transfer("a.zip", 30_000_000, 10_000_000) as advance:
        now[0] = 10.0
        advance(5_000_000)
    assert caplog.messages == ["downloading a.zip: 15 MB of 30 MB, 30 s left"]


def test_lines_go_above_the_bars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with logged_lines(), bars() as progress:
        assert progress is not None
        progress.add_task("run [x]", total=3, status="1 of 3")
        tell("a line [y]")
    above, _, bar = capsys.readouterr().err.rpartition("a line [y]")
    assert "run [x]" in bar and "1 of 3" in bar
    assert above.endswith(("\n", "\x1b[2K"))


@pytest.mark.parametrize("terminal", [False, True])
def test_items_pass_in_order(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert list(with_progress(iter("abc"), "clips [a]", total=3)) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == "" and (err == "" or terminal)
