"""Messages of the library in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click


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


def with_flags(message: str, flags: Mapping[str, str]) -> str:
    """Write the Python arguments that a message names as options of the command line.

    A name with an underscore is an argument wherever it is a word of its own, another name only at
    the start of the message: in the middle it may be a word of the sentence.

    Args:
        message: Of an error.
        flags: See :func:`flags_of`.

    Example:
        >>> with_flags("hold_out 2 of 36 clips", {"hold_out": "--hold-out"})
        '--hold-out 2 of 36 clips'
    """
    first = re.match(r"(\w+)(?=[ :,])", message)
    if first and first[1] in flags:
        message = flags[first[1]] + message[first.end() :]
    return re.sub(
        r"(?<![^\s(])[a-z0-9]+(?:_[a-z0-9]+)+(?=$|[\s:;,)])",
        lambda found: flags.get(found[0], found[0]),
        message,
    )
