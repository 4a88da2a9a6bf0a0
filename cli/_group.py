"""Groups of commands that answer a mistyped name with the most similar one."""

from __future__ import annotations

import click

from pyg_stgcn.text import suggestion


class HelpfulGroup(click.Group):
    """A group that suggests the most similar command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, names = args[0], self.list_commands(ctx)
        if name not in names and not name.startswith("-"):
            ctx.fail(
                f"there is no command {name!r}{suggestion(name, names)}; choose one of "
                f"{', '.join(names)}"
            )
        return super().resolve_command(ctx, args)
