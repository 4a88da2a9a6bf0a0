"""The file of a program: it comes back bit for bit, and damage is refused."""

from __future__ import annotations

import json
import random
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from pyg_stgcn.errors import InputError
from pyg_stgcn.program import (
    OPERATIONS,
    FeatureSlot,
    GraphSlot,
    Instruction,
    Network,
    Program,
)
from pyg_stgcn.program_file import Metadata, program_bytes, read_program, write_program

DOCUMENT = Path(__file__).parents[1] / "docs/reference/program.md"
VALUES = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return VALUES.normal(size=shape).astype(np.float32)


def integers(*shape: int) -> np.ndarray:
    return VALUES.integers(0, 99, shape).astype(np.int32)


def instruction(op: str, **numbers: int) -> Instruction:
    known = OPERATIONS[op]
    arrays: dict[str, Any] = {name: integers(3, 2) for name in known.integers}
    arrays |= {name: floats(4) for name in known.floats}
    defaults = {name: -1 for name, optional in known.slots.items() if optional}
    return Instruction(op, {**defaults, **known.numbers, **numbers}, arrays)


def network() -> Network:
    """Every operation once; what it would compute does not matter."""
    return Network(
        2,
        [FeatureSlot(3), FeatureSlot(5, 4), FeatureSlot(5), GraphSlot(0), GraphSlot(96)],
        [
            instruction("conv", **{"in": 0, "out": 1}),
            instruction("similarity", **{"in": 1, "out": 3}),
            instruction("channel_graph", **{"in": 1, "out": 4}),
            instruction("group_graph", **{"in": 1, "out": 4}),
            instruction("graph_conv", **{"in": 1, "out": 2, "graph": 4, "residual": 1}),
            instruction("maximum", **{"in": 1, "out": 2}),
            instruction("add", **{"in": 1, "residual": 2, "out": 2}),
            instruction("mean_joint", at=2),
            instruction("spread_joint", at=2),
            instruction("attention", at=2),
        ],
        2,
        floats(2, 17, 3),
        floats(2, 17, 3),
    )


@pytest.fixture(scope="module")
def program() -> Program:
    return Program([network(), network()], floats(2), floats(7, 5), floats(7))


METADATA: Metadata = {
    "about": {"classes": ["wave", "Größe", "no\n"]},
    "input": {"frames": 100, "score_threshold": 0.01},
    "temperature": 1.25,
    "mean": floats(17, 3),
}


def flat(program: Program) -> list[Any]:
    """All that a program holds, in a form that compares."""
    found: list[Any] = [program.factors, program.head_weight, program.head_bias]
    for part in program.networks:
        found += [part.blocks, part.slots, part.result, part.scale, part.shift]
        for one in part.instructions:
            found += [one.op, one.numbers, *one.arrays.items()]
    return [
        (value.shape, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value
        for entry in found
        for value in (entry if isinstance(entry, tuple) else (entry,))
    ]


def test_a_program_comes_back_bit_for_bit(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "model.stgcn"
    write_program(path, program, METADATA)
    content = path.read_bytes()
    assert content == program_bytes(program, METADATA)
    for source in (path, str(path), content):
        found, metadata = read_program(source)
        assert flat(found) == flat(program)
        mean = metadata.pop("mean")
        assert mean.tobytes() == METADATA["mean"].tobytes()
        assert metadata == {name: METADATA[name] for name in ("about", "input", "temperature")}
    # Any reader of safetensors can open it.
    assert np.array_equal(
        load(content)["0.0.values"], program.networks[0].instructions[0].arrays["values"]
    )
    assert (8 + int.from_bytes(content[:8], "little")) % 64 == 0


def test_damaged_bytes_are_refused(program: Program) -> None:
    content, chance = program_bytes(program, METADATA), random.Random(0)
    accepted = 0
    for _ in range(400):
        place, value = chance.randrange(len(content)), chance.randrange(256)
        damaged = bytearray(content)
        damaged[place] ^= value
        try:
            found, _ = read_program(bytes(damaged))
        except InputError as error:
            assert "the program: " in str(error)
            assert "export" in str(error)
        else:
            # A change of the spaces after the header, or none.
            assert flat(found) == flat(program)
            accepted += 1
    assert accepted < 20
    for end in (0, 7, 8, 100, len(content) - 1):
        with pytest.raises(InputError):
            read_program(content[:end])


def rewritten(content: bytes, change: Any) -> bytes:
    """The file with another header, its checksum right."""
    size = 8 + int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8:size]), content[size:]
    told = json.loads(header["__metadata__"]["program"])
    change(header, told)
    text = json.dumps(told)
    header["__metadata__"] |= {"program": text, "crc32": str(zlib.crc32(text.encode() + data))}
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + data


def first(told: Any) -> Any:
    return told["networks"][0]["instructions"][0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header, told: header["__metadata__"].update(format="other"), "not the program"),
        (lambda header, told: header["__metadata__"].update(version="2"), "version '2'"),
        (lambda header, told: told.pop("classes"), "no entry classes"),
        (lambda header, told: told.update(networks=[]), "no networks"),
        (lambda header, told: told.update(features=6), "head.weight has the shape"),
        (lambda header, told: told.update(joints=18), "scale has the shape"),
        (lambda header, told: first(told).update(op="sort"), "unknown operation 'sort'"),
        (lambda header, told: first(told).update(op=[1]), "unknown operation"),
        (lambda header, told: first(told).update(span=0), "span 0"),
        (lambda header, told: first(told).update(relu=True), "relu True"),
        (lambda header, told: first(told).update(residual=99), "residual 99"),
        (lambda header, told: first(told).update(out=4), "a slot of another kind as out"),
        (lambda header, told: first(told).pop("block"), "has the fields"),
        (lambda header, told: told["networks"][0].update(result=3), "ends with GraphSlot"),
        (lambda header, told: told["networks"][0].update(result=-1), "no slot"),
        (lambda header, told: told["networks"][0].update(slots=[{}]), "the slot {}"),
        (lambda header, told: header.update(x=header.pop("factors")), "factors is missing"),
        (lambda header, told: header["0.0.values"].update(dtype="I32"), "of type int32"),
        (lambda header, told: header.update(x=dict(header["factors"])), "not safetensors"),
    ],
)
def test_wrong_headers_are_refused(program: Program, change: Any, reason: str) -> None:
    damaged = rewritten(program_bytes(program, METADATA), change)
    with pytest.raises(InputError, match=f"the program: .*{re.escape(reason)}"):
        read_program(damaged)


def test_missing_files_and_folders_are_named(program: Program, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.stgcn: cannot be read"):
        read_program(tmp_path / "none.stgcn")
    with pytest.raises(InputError, match="there is no folder"):
        write_program(tmp_path / "none" / "model.stgcn", program, METADATA)


def test_the_document_names_the_fields_of_every_operation() -> None:
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE)
    told = {
        op: (re.findall(r"\w+", re.sub(r"\([^)]*\)", "", numbers)),
             re.findall(r"\w+", re.sub(r"\([^)]*\)|\[[^]]*\]", "", arrays)))
        for op, numbers, arrays in rows
        if op in OPERATIONS
    }  # fmt: skip
    assert told == {
        op: ([*known.slots, *known.numbers], told[op][1]) for op, known in OPERATIONS.items()
    }
    for op, known in OPERATIONS.items():
        assert sorted(told[op][1]) == sorted((*known.integers, *known.floats)), op
