"""Options of the commands other than 'train', with short help."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from pyg_stgcn.cli._lists import Names, Numbers, WholeNumbers
from pyg_stgcn.cli._numbers import FiniteRange

_METAVARS: dict[type[click.ParamType], str] = {
    **{click.IntRange: "N", FiniteRange: "X"},
    **{WholeNumbers: "N ...", Numbers: "X ...", Names: "NAME ..."},
}


class PlainOption(click.Option):
    """An option whose help shows the default as it is typed, and no range."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.metavar is None:
            self.metavar = _METAVARS.get(type(self.type))

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        if "default" in extra:
            extra["default"] = extra["default"].strip("()")
        return extra


option = partial(click.option, cls=PlainOption)
