from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyg_stgcn.cli import main
from pyg_stgcn.cli._output import echo, logged_lines, print_json, print_table


@pytest.mark.parametrize(
    "name", ["walk [slow]", "arm [/up]", "[bold]b[/bold]", "a\\[b]", ":smile:", "$$", "https://x.y"]
)
def test_tables_show_names_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table((name, name), [(name, 1), (Path(name), 2)], title=name)
    title, _, header, _, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    words = name.split()
    assert title == words and header == [*words, *words]
    assert rows[0] == [*words, "1"] and rows[1] == [*str(Path(name)).split(), "2"]


def test_tables_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2Jred\nline\u202e"
    print_table((evil,), [(evil,)], title=evil)
    out = capsys.readouterr().out
    assert out.count(r"\x1b[2Jred\nline\u202e") == 3
    assert "\x1b" not in out and "\u202e" not in out


def test_long_names_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    name = "abcdefghij" * 1_000
    print_table(("class", "clips"), [(name, 123_456)])
    out = capsys.readouterr().out
    assert out.split().count("123456") == 1
    assert "".join(out.split()).replace("123456", "").endswith(name)
    assert max(map(len, out.splitlines())) <= 160


def test_lines_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    echo("run: a\x1b[2J\nfigure: b", err=True)
    assert capsys.readouterr().err == "run: a\\x1b[2J\nfigure: b\n"


def test_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "\x1b[2J [x] \x9b"})
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x9b" not in out
    assert json.loads(out) == {"name": "\x1b[2J [x] \x9b"}


def test_warnings_of_the_package_cannot_either(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("pyg_stgcn.datasets.base")
    with logged_lines():
        logger.warning("%s: clip %s left out", "a.pkl", "c\x1b[2J\x07")
    logger.warning("outside")
    assert capsys.readouterr().err == "a.pkl: clip c\\x1b[2J\\x07 left out\n"


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "no\x1b[2J"],
        ["train", "--dataset", "no\x1b[2J.pkl"],
        ["train", "--dataset", "a.pkl", "--backbone", "no\x1b[2J"],
        ["profile", "no\x1b[2J"],
        ["datasets", "info", "no\x1b[2J"],
        ["datasets", "no\x1b[2J"],
        ["no\x1b[2J"],
        ["train", "--epochs", "no\x1b[2J"],
        ["train", "--no\x1b[2J"],
    ],
)
def test_errors_cannot_either(words: list[str]) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit)
    assert "\x1b" not in result.output and r"\x1b[2J" in result.output
