"""Options that take as many values as are given, such as ``--weights 2 2 1 1``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pyg_stgcn.ranges import Range
from pyg_stgcn.text import suggestion


class ListType(click.ParamType):
    """Values, separated by blanks, commas or colons."""

    def accepts(self, word: str) -> bool:
        """Whether a word on the command line is one more value."""
        raise NotImplementedError

    def split(self, value: object, error: str) -> list[str]:
        """The words of a value, all of them good."""
        words = str(value).replace(",", " ").replace(":", " ").split()
        if not words or not all(map(self.accepts, words)):
            self.fail(f"{value!r} {error}")
        return words


class Numbers(ListType):
    """Numbers of a range.

    Args:
        allowed: The range.
    """

    name = "numbers"

    def __init__(self, allowed: Range) -> None:
        self.allowed = allowed

    def accepts(self, word: str) -> bool:
        try:
            float(word)
        except ValueError:
            return False
        return True

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        words = self.split(value, "is no list of numbers; write, for example, 2 2 1 1")
        numbers = tuple(self.parse(word) for word in words)
        if not all(number in self.allowed for number in numbers):
            self.fail(f"{value!r}: out of range; choose from {self.allowed}", param, ctx)
        return numbers

    def parse(self, word: str) -> float:
        """The number that a word stands for."""
        return float(word)


class Words(ListType):
    """Any words but options."""

    name = "words"

    def accepts(self, word: str) -> bool:
        return not word.startswith("-")

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(self.split(value, "are not words"))


class WholeNumbers(Numbers):
    """Different whole numbers of a range.

    Args:
        allowed: The range.
        noun: What they are.
    """

    def __init__(self, allowed: Range, noun: str = "number") -> None:
        super().__init__(allowed)
        self.noun = noun

    def parse(self, word: str) -> float:
        found = float(word)
        return int(found) if found.is_integer() else found

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        numbers = super().convert(value, param, ctx)
        if len(set(numbers)) < len(numbers):
            self.fail(f"{value!r} name a {self.noun} twice", param, ctx)
        return tuple(map(int, numbers))


class Names(ListType):
    """Names out of a few.

    Args:
        choices: All that there are.
    """

    name = "names"

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = choices

    def accepts(self, word: str) -> bool:
        # A mistyped name too, but not the folder of a run that follows.
        mistyped = suggestion(word, self.choices) and not word.startswith("-")
        return word in self.choices or bool(mistyped and not Path(word).exists())

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        words = str(value).replace(",", " ").split()
        for word in words:
            if word not in self.choices:
                self.fail(not_among(word, self.choices), param, ctx)
        if not words:
            self.fail(f"{value!r}: name at least one of {', '.join(self.choices)}", param, ctx)
        return tuple(words)


class Choice(click.Choice):
    """One of a few values; a mistyped one is answered with the most similar."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            self.fail(not_among(str(value), self.choices), param, ctx)
        return str(value)


def not_among(word: str, choices: Sequence[str]) -> str:
    """A message that a word is none of the choices."""
    return f"{word!r} is not one of {', '.join(choices)}{suggestion(word, choices)}"


class ListsCommand(click.Command):
    """Gives each option of a :class:`ListType` all the values that follow it.

    click itself knows options with a fixed number of values only.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        types = {
            name: parameter.type
            for parameter in self.params
            if isinstance(parameter.type, ListType)
            for name in parameter.opts
        }
        words: list[str] = []
        gathering: ListType | None = None
        for word in args:
            if gathering is not None and gathering.accepts(word):
                words[-1] = f"{words[-1]} {word}".strip()
                continue
            if gathering is not None and not words[-1]:
                words.pop()
            words.append(word)
            gathering = types.get(word)
            if gathering is not None:
                words.append("")
        if gathering is not None and not words[-1]:
            words.pop()
        return super().parse_args(ctx, words)
