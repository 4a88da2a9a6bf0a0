"""The cost of reading a pickle, found without running it."""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO, NamedTuple

#: Calls that a checkpoint has no need of, and that make much of little.
_COSTLY = {
    "_codecs encode": "encodes a text",
    "builtins bytearray": "makes an array of bytes",
    "__builtin__ bytearray": "makes an array of bytes",
}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
#: They put what follows a container into it, which makes it no deeper than they are.
_FILLS = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_FREE = 1_000_000
_MAX_RATIO = 10
#: A hash or a comparison of deeper tuples would overflow the stack.
_DEEPEST = 100
#: Keys that are no texts: an optimizer numbers its parameters. More can be chosen so that each is
#: compared with all others. Also what a call may get, which could be the members of a set.
_MOST_NUMBERS = 20_000


class _Part(NamedTuple):
    """A value on the stack: its size, its depth, and whether it is a text."""

    size: int
    depth: int
    is_text: bool


def check_cost(file: BinaryIO) -> None:
    """Refuse a pickle of which a part, counted with all that it refers to, is out of proportion.

    A tuple that holds another one twice, and so on thirty times, takes a few bytes; its hash, which
    a dict or a set asks for, takes minutes in which no signal is handled.

    Args:
        file: At the start of the pickle; is read to its end.

    Raises:
        ValueError: The pickle is refused, or damaged.
    """
    start = file.tell()
    parts: list[_Part] = []
    marks: list[int] = []
    memo: dict[Any, _Part] = {}
    numbers = 0
    for opcode, argument, place in pickletools.genops(file):
        if opcode.name == "GLOBAL" and argument in _COSTLY:
            raise ValueError(f"it {_COSTLY[argument]}, for which a state dict has no use")
        if opcode.name in _PUTS:
            memo[argument] = parts[-1]
        elif opcode.name in _GETS:
            parts.append(memo[argument])
        elif opcode.name == "MARK":
            marks.append(len(parts))
        else:
            taken = _taken(opcode, parts, marks)
            made = _made(opcode, taken)
            numbers += _numbers_as_keys(opcode, taken)
            if made.size > _FREE + _MAX_RATIO * ((place or 0) - start):
                raise ValueError("it holds the same things in each other again and again")
            if made.depth > _DEEPEST:
                raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
            if opcode.name == "REDUCE" and made.size > _MOST_NUMBERS:
                raise ValueError(f"it makes something of {made.size} parts, not of tensors")
            if numbers > _MOST_NUMBERS:
                raise ValueError(f"it has more than {_MOST_NUMBERS} numbers as keys")
            parts += [made] * len(opcode.stack_after)


def _made(opcode: pickletools.OpcodeInfo, taken: list[_Part]) -> _Part:
    inner = taken
    depth = 0
    if opcode.name in _FILLS and taken:
        depth, inner = taken[0].depth, taken[1:]
    depth = max([depth, *(part.depth + 1 for part in inner)])
    return _Part(1 + sum(part.size for part in taken), depth, "UNICODE" in opcode.name)


def _numbers_as_keys(opcode: pickletools.OpcodeInfo, taken: list[_Part]) -> int:
    """The number of parts of keys of dicts and of members of sets that are not texts."""
    if opcode.name in ("SETITEM", "SETITEMS"):
        keys = taken[1::2]
    elif opcode.name == "DICT":
        keys = taken[::2]
    elif opcode.name in ("ADDITEMS", "FROZENSET"):
        keys = taken
    else:
        return 0
    return sum(part.size for part in keys if not part.is_text)


def _taken(opcode: pickletools.OpcodeInfo, parts: list[_Part], marks: list[int]) -> list[_Part]:
    """Takes off the stack what an operation takes, without the mark."""
    before = opcode.stack_before
    count = len(before)
    if pickletools.markobject in before:
        # What stands before the mark, and all that stands after it.
        count = len(parts) - marks.pop() + before.index(pickletools.markobject)
    if count > len(parts):
        raise ValueError("it takes more than it has made")
    taken = parts[len(parts) - count :]
    del parts[len(parts) - count :]
    return taken
