"""Files that are no programs, or whose instructions would read outside of their slots."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.engine import Engine
from pyg_stgcn.errors import InputError
from pyg_stgcn.program import FeatureSlot, Instruction, Program
from pyg_stgcn.program_file import program_bytes, read_program
from pyg_stgcn.recognition import engine_bytes
from tests.reference.small_models import short

pytestmark = pytest.mark.usefixtures("built")

STEPS = {"stream": "joint", "clip_frames": 9, "has_score": False}


@pytest.fixture(scope="module")
def content() -> bytes:
    return engine_bytes(short("stgcn", 17), list("abcd"), STEPS)


def of_kind(program: Program, op: str) -> tuple[int, Instruction]:
    instructions = program.networks[0].instructions
    return next((i, one) for i, one in enumerate(instructions) if one.op == op)


def changed(program: Program, number: int, instruction: Instruction) -> None:
    program.networks[0].instructions[number] = instruction


def with_number(op: str, name: str, value: int) -> Callable[[Program], None]:
    def change(program: Program) -> None:
        number, one = of_kind(program, op)
        changed(program, number, replace(one, numbers={**one.numbers, name: value}))

    return change


def with_value(op: str, name: str, value: int) -> Callable[[Program], None]:
    """Changes the last value of an array."""

    def change(program: Program) -> None:
        number, one = of_kind(program, op)
        array = one.arrays[name].copy()
        array.flat[-1] = value
        changed(program, number, replace(one, arrays={**one.arrays, name: array}))

    return change


def shorter(op: str, name: str) -> Callable[[Program], None]:
    def change(program: Program) -> None:
        number, one = of_kind(program, op)
        arrays: dict[str, Any] = {**one.arrays, name: one.arrays[name][:-1]}
        changed(program, number, replace(one, arrays=arrays))

    return change


def with_halo(program: Program) -> None:
    slots = program.networks[0].slots
    for number in range(1, len(slots)):
        slots[number] = FeatureSlot(slots[number].channels)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_value("conv", "offsets", 1 << 20), r"offsets 1048576, not a multiple of 16"),
        (with_value("conv", "offsets", -16), r"offsets -16"),
        (with_value("conv", "offsets", 24), r"offsets 24"),
        (with_value("conv", "starts", 1 << 20), r"starts 1048576"),
        (with_value("graph_conv", "edges", 1 << 20), r"edge \d+ from joint \d+ at factor 1048576"),
        (with_value("graph_conv", "graph_starts", 0), r"graph_starts 0"),
        (with_number("conv", "span", 1), r"offsets"),
        (with_number("conv", "padding", 9), r"padding 9, not a number from 0"),
        (with_number("conv", "block", 4), r"block 4, not 1 or 8"),
        (with_number("conv", "channel", 1), r"writes 8 channels from 1"),
        (with_number("conv", "in", 3), r"in 3, not a slot"),
        (with_number("graph_conv", "out", 0), r"out 0"),
        (with_number("graph_conv", "partitions", 5), r"partitions 5, not a divisor"),
        (shorter("conv", "bias"), r"values as bias"),
        (shorter("conv", "values"), r"values as values"),
        (shorter("graph_conv", "row_bias"), r"values as row_bias"),
        (with_halo, r"padding \d+, not a number from 0 to 0"),
    ],
)
def test_instructions_stay_within_their_slots(
    content: bytes, change: Callable[[Program], None], message: str
) -> None:
    program, metadata = read_program(content)
    change(program)
    with pytest.raises(InputError, match=rf"instruction \d+.*{message}.*export --format engine"):
        Engine.from_bytes(program_bytes(program, metadata))


def test_every_other_byte_is_noticed(content: bytes) -> None:
    """The checksum covers what the program is made of; the rest has one form only."""
    size = 8 + int.from_bytes(content[:8], "little")
    for place in [*range(0, 8), *range(8, size, 41), *range(size, len(content), 2001)]:
        damaged = bytearray(content)
        damaged[place] ^= 4
        try:
            Engine.from_bytes(bytes(damaged)).close()
        except InputError as error:
            assert "export --format engine" in str(error)
        else:
            pytest.fail(f"byte {place}: {content[max(0, place - 20) : place + 20]!r}")


def test_parts_of_a_file_are_refused(content: bytes) -> None:
    for length in [0, 7, 8, 100, len(content) // 2, len(content) - 1]:
        with pytest.raises(InputError):
            Engine.from_bytes(content[:length])
    with pytest.raises(InputError):
        Engine.from_bytes(content + b"\0")


def test_other_versions_are_named(content: bytes) -> None:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["version"] = "2"
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with pytest.raises(InputError, match="version"):
        Engine.from_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


def test_weights_are_numbers(content: bytes) -> None:
    program, metadata = read_program(content)
    program.networks[0].scale[:] = np.nan
    with pytest.raises(InputError, match=r"0\.scale .*no number.*training has diverged") as found:
        Engine.from_bytes(program_bytes(program, metadata))
    assert str(found.value).count("export --format engine") == 1
