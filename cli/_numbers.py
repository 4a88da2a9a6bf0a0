"""Options that take as many numbers as are given, such as ``--weights 2 2 1 1``."""

from __future__ import annotations

import click


class Numbers(click.ParamType):
    """Numbers, separated by blanks, commas or colons."""

    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        words = str(value).replace(",", " ").replace(":", " ").split()
        if not words or not all(map(_is_number, words)):
            self.fail(f"{value!r} are not numbers; write, for example, 2 2 1 1", param, ctx)
        return tuple(map(float, words))


class NumbersCommand(click.Command):
    """Gives each option of type :class:`Numbers` all the numbers that follow it.

    click itself knows options with a fixed number of values only.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = {
            name
            for parameter in self.params
            if isinstance(parameter.type, Numbers)
            for name in parameter.opts
        }
        words: list[str] = []
        gathering = False
        for word in args:
            if gathering and _is_number(word):
                words[-1] = f"{words[-1]} {word}".strip()
                continue
            if gathering and not words[-1]:
                words.pop()
            words.append(word)
            gathering = word in names
            if gathering:
                words.append("")
        if gathering and not words[-1]:
            words.pop()
        return super().parse_args(ctx, words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
