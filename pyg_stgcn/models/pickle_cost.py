"""What a pickle would cost, found out without running it."""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO

#: Calls that a checkpoint has no need of, and that make much of little.
_COSTLY = {
    "_codecs encode": "encodes a text",
    "builtins bytearray": "makes an array of bytes",
    "__builtin__ bytearray": "makes an array of bytes",
}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_FREE = 1_000_000
_MAX_RATIO = 10


def check_cost(file: BinaryIO) -> None:
    """Refuse a pickle of which a part, counted with all that it refers to, is out of proportion.

    A tuple that holds another one twice, and so on thirty times, takes a few bytes; its hash, which
    a dict or a set asks for, takes minutes in which no signal is heard.

    Args:
        file: At the start of the pickle; is read to its end.

    Raises:
        ValueError: The pickle is refused, or damaged.
    """
    start = file.tell()
    sizes: list[int] = []
    marks: list[int] = []
    memo: dict[Any, int] = {}
    for opcode, argument, place in pickletools.genops(file):
        if opcode.name == "GLOBAL" and argument in _COSTLY:
            raise ValueError(f"it {_COSTLY[argument]}, for which a state dict has no use")
        if opcode.name in _PUTS:
            memo[argument] = sizes[-1]
        elif opcode.name in _GETS:
            sizes.append(memo[argument])
        elif opcode.name == "MARK":
            marks.append(len(sizes))
        else:
            made = 1 + sum(_taken(opcode, sizes, marks))
            if made > _FREE + _MAX_RATIO * ((place or 0) - start):
                raise ValueError("it holds the same things in each other again and again")
            sizes += [made] * len(opcode.stack_after)


def _taken(opcode: pickletools.OpcodeInfo, sizes: list[int], marks: list[int]) -> list[int]:
    """Takes off the stack what an operation takes."""
    before = opcode.stack_before
    count = len(before)
    if pickletools.markobject in before:
        # What stands before the mark, the mark, and all that stands after it.
        count = len(sizes) - marks.pop() + before.index(pickletools.markobject)
    if count > len(sizes):
        raise ValueError("it takes more than it has made")
    taken = sizes[len(sizes) - count :]
    del sizes[len(sizes) - count :]
    return taken
