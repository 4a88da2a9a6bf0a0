from __future__ import annotations

import sys

import pytest

from pyg_stgcn.cli._output import logged_lines
from pyg_stgcn.progress import tell, with_progress


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


@pytest.mark.parametrize("terminal", [False, True])
def test_items_pass_in_order(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert list(with_progress(iter("abc"), "clips [a]", total=3)) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == "" and (err == "" or terminal)
