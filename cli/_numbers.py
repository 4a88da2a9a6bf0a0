"""Options with one number."""

from __future__ import annotations

import math
from typing import Any

import click

from pyg_stgcn.ranges import Range


def number(allowed: Range) -> click.IntRange | FiniteRange:
    """The type of an option with a number of a range."""
    if allowed.whole:
        return click.IntRange(int(allowed.low), int(allowed.high))
    return FiniteRange(
        allowed.low, allowed.high, min_open=allowed.low_open, max_open=allowed.high_open
    )


class FiniteRange(click.FloatRange):
    """A range of numbers that refuses NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{found} is not in the range {self._describe_range()}.", param, ctx)
        return found
