"""Fields of the record of options, with the help, default and range of each option."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from typing import Any, get_args, get_type_hints

from pyg_stgcn.ranges import Range


def option(
    help: str,
    default: Any = MISSING,
    *,
    allowed: Range | None = None,
    choices: Sequence[str] = (),
    auto: str | None = None,
    metavar: str | None = None,
) -> Any:
    """Declare an option of a training.

    Args:
        help: One line, which ends with a full stop.
        default: The value if the user gives none; ``None`` if it depends on the data or on other
            options. An option without default is required.
        allowed: Range of a number, or of every number of a list.
        choices: All values of a text.
        auto: The value in place of ``None``, in words.
        metavar: Placeholder of the value in the help of the command line.
    """
    words = {"help": help, "allowed": allowed, "choices": tuple(choices)}
    metadata = {**words, "auto": auto, "metavar": metavar}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Option:
    """An option of a training.

    Args:
        name: Its name as a Python argument.
        group: The part of the record that holds it.
        annotation: Its type.
        default: The value if the user gives none; ``dataclasses.MISSING`` if it is required.
        help: One line.
        allowed: Range of a number, or of every number of a list.
        choices: All values of a text.
        auto: The value in place of ``None``, in words.
        metavar: Placeholder of the value in the help of the command line.
    """

    name: str
    group: str
    annotation: Any
    default: Any
    help: str
    allowed: Range | None
    choices: tuple[str, ...]
    auto: str | None
    metavar: str | None

    @property
    def flag(self) -> str:
        """The option of the command line, such as ``--batch-size``."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def kind(self) -> Any:
        """The type of a value that is not ``None``."""
        kinds = [kind for kind in get_args(self.annotation) if kind is not type(None)]
        return kinds[0] if type(None) in get_args(self.annotation) else self.annotation


def _default(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


@cache
def options_of(record: type) -> dict[str, Option]:
    """All options of a record of nested dataclasses, by name, in their order."""
    found = {}
    for group, part in get_type_hints(record).items():
        types = get_type_hints(part)
        for entry in fields(part):
            name = entry.name
            assert name not in found, f"two options are called {name}"
            found[name] = Option(name, group, types[name], _default(entry), **entry.metadata)
    return found
