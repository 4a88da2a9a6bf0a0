"""Every option with numbers, of every command: any value is used or refused, none ends in a
traceback."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from click.types import FloatParamType, IntParamType

from pyg_stgcn.cli import main
from pyg_stgcn.cli._lists import Numbers
from pyg_stgcn.names import AUGMENTATIONS
from pyg_stgcn.runs.options import OPTIONS as RECORD
from pyg_stgcn.runs.options import TrainOptions

WORDS = ["nan", "-nan", "inf", "-inf", "-1", "0", "-0.5", "0.5", "1", "1e30", "-1e30", "1e400"]
WORDS += ["5000000000", "5e9", "1e-400", "9" * 5_000, "", " ", "0x10", "1_000", "٣", "²", "1,5"]


def commands(group: click.Group, names: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        else:
            yield " ".join((*names, name)), command


def is_numeric(option: click.Parameter) -> bool:
    return isinstance(option.type, FloatParamType | IntParamType | Numbers)


OPTIONS = [
    pytest.param(name, option, id=f"{name} {option.opts[0]}")
    for name, command in commands(main, ())
    for option in command.params
    if is_numeric(option)
]


def test_there_are_such_options() -> None:
    assert len(OPTIONS) > 100


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_any_word_is_a_good_number_or_wrong_usage(name: str, option: click.Parameter) -> None:
    for word in WORDS:
        try:
            value = option.type(word, option, click.Context(click.Command(name)))
        except click.BadParameter as error:
            assert error.format_message()
            continue
        for number in value if isinstance(value, tuple) else [value]:
            assert math.isfinite(number) and 0 <= number <= 1e9, word
        if option.name in RECORD:
            # What the command line takes, the library takes too.
            given = list(value) if isinstance(value, tuple) else value
            assert TrainOptions.of(dataset="data", **{option.name: given})


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_commands_refuse_them_before_they_do_anything(
    name: str, option: click.Parameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("nan", "inf", "1e30", "-1"):
        result = CliRunner().invoke(main, [*name.split(), option.opts[0], word])
        assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
        assert option.opts[0] in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["nan", "inf", "-1", "1e30"])
@pytest.mark.parametrize(
    "option",
    ["--devices=", *(f"--augment={name}=" for name in AUGMENTATIONS)],
)
def test_trainings_refuse_numbers_in_words(
    option: str, word: str, tiny_pickle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    common = ["train", "--dataset", str(tiny_pickle), "--root", str(tmp_path), "--out", str(out)]
    result = CliRunner().invoke(main, [*common, "--accelerator", "cpu", option + word])
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit)
    assert option.split("=")[0].strip("-") in result.stderr
    assert not out.exists()


@pytest.mark.parametrize("word", ["nan", "inf", "-1", "1e30", "1"])
def test_evaluate_refuses_fractions_out_of_range(word: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path), "--corruption", word])
    assert result.exit_code == 2 and "--corruption" in result.stderr
