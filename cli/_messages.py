"""Messages of the library in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import click
from click.core import ParameterSource


def flags_of(command: click.Command) -> dict[str, str]:
    """Flags of the options of a command and of its sub-commands, by the names of the arguments.

    Example:
        >>> flags_of(train_command)["batch_size"]
        '--batch-size'
    """
    flags = {
        parameter.name: parameter.opts[0]
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name is not None
    }
    if isinstance(command, click.Group):
        for part in command.commands.values():
            flags |= flags_of(part)
    return flags


def given_flags(ctx: click.Context, names: Iterable[str]) -> list[str]:
    """Flags of the options, of those with some names, that are given on the command line."""
    flags = flags_of(ctx.command)
    return [
        flags[name]
        for name in names
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]


def with_flags(
    message: str, flags: Mapping[str, str], others: Mapping[str, str] | None = None
) -> str:
    """Write the Python arguments that a message names as options of the command line.

    A name is an argument at the start of the message, and wherever it has a value, as in
    ``schedule='cubic'``. In other places only a name with an underscore is one: others may be words
    of the sentence.

    Args:
        message: Of an error.
        flags: Those of the command, see :func:`flags_of`.
        others: Those of other commands, which the remedy may name.

    Example:
        >>> flags = {"penalty": "--penalty", "schedule": "--schedule"}
        >>> with_flags("penalty 0.1: needs a ramp; choose schedule='cubic'", flags)
        '--penalty 0.1: needs a ramp; choose --schedule cubic'
    """
    first = re.match(r"(\w+)(?=[ :,])", message)
    if first and first[1] in flags:
        message = flags[first[1]] + message[first.end() :]

    every = {**(others or {}), **flags}

    def with_value(found: re.Match[str]) -> str:
        name, value = found[1], found[2].strip("'")
        if name not in every:
            return found[0]
        return every[name] if value == "True" else f"{every[name]} {value}"

    message = re.sub(r"(?<![^\s(])([a-z]\w*)=('[^']*'|[\w.-]*\w)", with_value, message)
    return re.sub(
        r"(?<![^\s(])[a-z0-9]+(?:_[a-z0-9]+)+(?=$|[\s:;,)])",
        lambda found: every.get(found[0], found[0]),
        message,
    )
