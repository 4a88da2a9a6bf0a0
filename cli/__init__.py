"""The command line: one file for each command, loaded when it is called."""

from __future__ import annotations

import contextlib
import errno
from importlib import import_module
from typing import Any

import click

from pyg_stgcn import __version__
from pyg_stgcn.cli._group import HelpfulGroup
from pyg_stgcn.cli._messages import flags_of, with_flags
from pyg_stgcn.cli._output import echo, logged_lines
from pyg_stgcn.cli._streams import open_closed_streams, readable_output
from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.options import OPTIONS
from pyg_stgcn.runs.processes import local_rank
from pyg_stgcn.signals import Stopped, end_with_input, stop_on
from pyg_stgcn.text import printable

_COMMANDS = (
    "assemble",
    "bench",
    "datasets",
    "demo",
    "evaluate",
    "export",
    "fuse",
    "inspect",
    "lottery",
    "poses",
    "predict",
    "profile",
    "sweep",
    "train",
    "watch",
)


class _Commands(HelpfulGroup):
    """Finds the commands in this package, and turns a user's mistakes into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        open_closed_streams()
        with readable_output():  # Of --help.
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        end_with_input()
        try:
            with stop_on("SIGINT", "SIGTERM", "SIGHUP"), logged_lines(), readable_output():
                return super().invoke(ctx)
        except Stopped as stop:
            # Of several processes of a training on this machine, only the first prints the error.
            if local_rank() == 0:
                with contextlib.suppress(OSError):  # The terminal may be closed.
                    echo(f"Error: {stop}", err=True)
            raise
        except click.ClickException as error:
            # The same error, so that click shows the usage of its command.
            error.message = printable(error.message, keep="\n\t")  # type: ignore[misc]
            raise
        except InputError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            flags = {} if command is None else flags_of(command)
            of_train = {name: option.flag for name, option in OPTIONS.items()}
            message = printable(with_flags(str(error), flags, of_train), keep="\n\t")
            raise click.ClickException(message) from error
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            room = "make room or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            message = (
                f"{place}{error.strerror or error}; {room}name another folder, then start again"
            )
            raise click.ClickException(printable(message)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pyg-stgcn")
def main() -> None:
    """Skeleton action recognition with sparse spatial-temporal graph convolutions.

    Train an ST-GCN, find out how few weights it needs, and evaluate the sparse model. Start with
    'pyg-stgcn demo'.
    """
