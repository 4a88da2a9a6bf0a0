"""The options of a training on the command line, made from the record of options."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pyg_stgcn.cli._lists import Choice, ListsCommand, ListType, Numbers, WholeNumbers, Words
from pyg_stgcn.cli._messages import with_flags
from pyg_stgcn.cli._numbers import number
from pyg_stgcn.errors import InputError
from pyg_stgcn.names import parse_augmentations
from pyg_stgcn.runs.option_fields import Option
from pyg_stgcn.runs.options import OPTIONS, TrainOptions

#: Titles of the groups of options in a help text.
_TITLES = {
    "data": "Data",
    "model": "Model",
    "sparsity": "Sparsity",
    "optim": "Optimisation",
    "hardware": "Hardware",
}


_METAVARS: dict[Any, str] = {
    **{int: "N", float: "X", str: "TEXT"},
    **{list[float]: "X ...", list[int]: "N ...", list[str]: "NAME ..."},
}


class RecordOption(click.Option):
    """An option of the record; its help has one sentence, its default and no range.

    Args:
        option: The option.
    """

    def __init__(self, option: Option) -> None:
        self.section = _TITLES[option.group]
        kind: Any = option.kind
        flags, more = option.flag, dict[str, Any]()
        default = None if option.default is MISSING else option.default
        if kind is bool:
            flags = f"{flags}/--no-{flags.removeprefix('--')}"
        elif kind == dict[str, float]:
            more = {"multiple": True, "callback": _augmentations}
        elif kind in (list[float], list[int], list[str]):
            more["type"], more["callback"] = _list_type(option), _as_list
        elif option.choices:
            more["type"] = Choice(option.choices)
        elif option.allowed is not None:
            more["type"] = number(option.allowed)
        told = option.auto or (None if default in (None, False, [], {}, "") else default)
        told = "on" if told is True else told
        text = option.help if told is None else f"{option.help}  [default: {told}]"
        super().__init__(
            [flags],
            default=default or None if kind in (dict[str, float], list[float]) else default,
            help=text,
            metavar=option.metavar or _METAVARS.get(None if option.choices else kind),
            **more,
        )

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Leave out ranges, which are in the documents."""
        return {}

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Show of a switch that is off the one flag that sets it."""
        found = super().get_help_record(ctx)
        if found is None or not self.secondary_opts or self.default:
            return found
        return self.opts[0], found[1]


def _list_type(option: Option) -> ListType:
    if option.allowed is None:
        return Words()
    return (WholeNumbers if option.allowed.whole else Numbers)(option.allowed)


class GroupedCommand(ListsCommand):
    """Shows the options of the record in sections, after its own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                title = getattr(parameter, "section", "Options")
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def record_options(leave_out: Collection[str] = (), **defaults: Any) -> list[click.Parameter]:
    """Options of the command line for the record.

    Args:
        leave_out: Names of options to leave out.
        **defaults: Other defaults of some of them.
    """
    changed = {
        name: replace(OPTIONS[name], default=value, auto=None) for name, value in defaults.items()
    }
    options = {**OPTIONS, **changed}
    return [RecordOption(option) for name, option in options.items() if name not in leave_out]


def given_options(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """The options that are given on the command line."""
    return {
        name: value
        for name, value in options.items()
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file of options, such as the config.toml of a run; others here override it.",
)


def configured(
    ctx: click.Context, options: dict[str, Any], config_file: Path | None
) -> dict[str, Any]:
    """Options of a file that the command has, overridden by those on the command line.

    Raises:
        click.UsageError: There is no dataset.
    """
    found: dict[str, Any] = {}
    if config_file is not None:
        from pyg_stgcn.runs.config_file import read_options

        values, _ = read_options(config_file, "mend the file, or leave --config out")
        found = {name: value for name, value in values.items() if name in options}
    found |= given_options(ctx, options)
    if "dataset" not in found:
        raise click.UsageError("--dataset is missing; 'pyg-stgcn datasets list' names some")
    return found


def make_options(values: dict[str, Any]) -> TrainOptions:
    """The record; mistakes in it are wrong usage."""
    try:
        return TrainOptions.of(**values)
    except InputError as error:
        flags = {name: option.flag for name, option in OPTIONS.items()}
        raise click.UsageError(with_flags(str(error), flags)) from None


def _as_list(ctx: click.Context, param: click.Parameter, value: Any) -> list[Any] | None:
    return None if value is None else list(value)


def _augmentations(
    ctx: click.Context, param: click.Parameter, words: tuple[str, ...]
) -> dict[str, float]:
    try:
        return parse_augmentations(words)
    except InputError as error:
        raise click.BadParameter(str(error)) from None
