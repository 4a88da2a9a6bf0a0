"""The option ``--figure``, the same in every command that draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main
from pyg_stgcn.cli._figure import FigureFile

#: Commands that make nothing to be seen, and those that only prepare.
WITHOUT = {"datasets list", "datasets prepare", "export"}


def commands(group: click.Group = main, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command, by the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", found


def drawing() -> dict[str, click.Option]:
    return {
        name: option
        for name, command in commands()
        for option in command.params
        if isinstance(option, click.Option) and "--figure" in option.opts
    }


DRAWING = drawing()


def call(name: str, *words: object) -> Result:
    """Call a command with the arguments that it needs; the files need not exist."""
    needed = {"datasets info": ["none"], "datasets show": ["none", "--clip", "0"]}
    given = needed.get(name, ["none"] if "RUN" in usage(name) else [])
    return CliRunner().invoke(main, [*name.split(), *given, *(str(word) for word in words)])


def usage(name: str) -> str:
    command = dict(commands())[name]
    return command.get_usage(click.Context(command))


def test_every_command_that_draws_has_it() -> None:
    results = {name for name, _ in commands()} - WITHOUT
    assert DRAWING.keys() >= {
        *("assemble", "bench", "datasets info", "datasets show", "demo", "evaluate", "fuse"),
        *("inspect", "lottery", "profile", "sweep", "train"),
    }
    assert DRAWING.keys() <= results


@pytest.mark.parametrize("name", DRAWING)
def test_its_file_is_checked_before_the_work(name: str, tmp_path: Path) -> None:
    assert isinstance(DRAWING[name].type, FigureFile)
    assert "into FILE" in (DRAWING[name].help or "")
    for file, hint in (
        ("result.txt", "did you mean result.png"),
        ("result.pfd", "did you mean '.pdf'"),
        ("nowhere/result.png", "there is no folder"),
    ):
        result = call(name, "--figure", tmp_path / file)
        message = " ".join(result.stderr.split())
        assert result.exit_code == 2 and "'--figure'" in message and hint in message, message
    assert not any(tmp_path.iterdir())
