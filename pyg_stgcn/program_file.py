"""The file of a program: safetensors with a JSON header, see docs/reference/program.md."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from pyg_stgcn.checked import brief, check_entries, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, check_place, write_atomically
from pyg_stgcn.jsonfile import parse_json
from pyg_stgcn.program import (
    MAKES_GRAPH,
    OPERATIONS,
    Array,
    FeatureSlot,
    GraphSlot,
    Instruction,
    Network,
    Program,
)

FORMAT = "pyg_stgcn.program"
VERSION = 1

#: The metadata of a file besides the program: ``about``, ``input``, ``mean``, ``std`` (arrays, or
#: absent) and ``temperature``.
Metadata = dict[str, Any]

_REMEDY = "write it again with 'pyg-stgcn export --format engine'"
_CODES = {np.dtype(np.float32): "F32", np.dtype(np.int32): "I32"}
#: The tensors begin at a multiple of this.
_ALIGNMENT = 64
_HEADER = {
    "joints": int,
    "channels": int,
    "features": int,
    "classes": int,
    "temperature": float,
    "networks": list[dict[str, Any]],
    "input": dict,
    "about": dict,
}
_NETWORK = {
    "blocks": int,
    "slots": list[dict[str, int]],
    "instructions": list[dict[str, Any]],
    "result": int,
}


def write_program(path: str | os.PathLike[str], program: Program, metadata: Metadata) -> None:
    """Write a program to a file.

    Args:
        path (str or os.PathLike): File to write; replaced only once the new one is complete.
        program (Program): The program.
        metadata (dict): ``input`` and ``about``, which JSON can hold; ``temperature`` (default: 1);
            ``mean`` and ``std``, arrays ``[V, C]``, if the model has statistics of its training.

    Raises:
        InputError: If the folder of the file does not exist.
    """
    check_place(Path(path))
    content = program_bytes(program, metadata)
    write_atomically(Path(path), lambda file: file.write_bytes(content))


def program_bytes(program: Program, metadata: Metadata) -> bytes:
    """The content of the file of a program, see :func:`write_program`; always the same."""
    tensors = {name: np.ascontiguousarray(array) for name, array in _tensors(program, metadata)}
    text = json.dumps(
        {
            "joints": program.num_joints,
            "channels": program.in_channels,
            "features": program.head_weight.shape[1],
            "classes": program.head_weight.shape[0],
            "temperature": float(metadata.get("temperature", 1.0)),
            "networks": [_network_header(network) for network in program.networks],
            "input": metadata["input"],
            "about": metadata["about"],
        },
        allow_nan=False,
    )
    data = b"".join(array.tobytes() for array in tensors.values())
    texts = {"format": FORMAT, "version": str(VERSION), "crc32": _checksum(text, data)}
    entries: dict[str, Any] = {"__metadata__": {**texts, "program": text}}
    place = 0
    for name, array in tensors.items():
        end = place + array.nbytes
        shape = list(array.shape)
        entries[name] = {"dtype": _CODES[array.dtype], "shape": shape, "data_offsets": [place, end]}
        place = end
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNMENT)
    return len(header).to_bytes(8, "little") + header + data


def read_program(source: str | os.PathLike[str] | bytes) -> tuple[Program, Metadata]:
    """Read the file of a program.

    Checks the form of the file and of every instruction. What the arrays hold is checked by those
    who run it.

    Args:
        source (str, os.PathLike or bytes): The file, or its content.

    Returns:
        tuple: The program, and its metadata as for :func:`write_program`.

    Raises:
        InputError: If the file is missing, damaged, of another kind or of another version.
    """
    where, content = "the program", source
    if not isinstance(content, bytes):
        where = str(source)
        check_is_file(Path(where))
        try:
            content = Path(where).read_bytes()
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({brief(error)}); check the path") from None
    try:
        tensors = load(content)
        size = 8 + int.from_bytes(content[:8], "little")
        texts = json.loads(content[8:size]).get("__metadata__") or {}
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{where}: damaged, or not safetensors ({brief(error)}); {_REMEDY}"
        ) from None
    text = _program_text(texts, where)
    if texts.get("crc32") != _checksum(text, content[size:]):
        raise InputError(f"{where}: damaged (the checksum differs); {_REMEDY}")
    header = parse_json(text, where, _REMEDY)
    check_entries(header, _HEADER, where, _REMEDY)
    return _Reader(where, tensors).program(header)


def _program_text(texts: Mapping[str, str], where: str) -> str:
    if texts.get("format") != FORMAT:
        raise InputError(f"{where}: safetensors, but not the program of a model; {_REMEDY}")
    if (version := texts.get("version")) != str(VERSION):
        raise InputError(
            f"{where}: written in version {shown(version)} of the format, not {VERSION}; update "
            f"pyg-stgcn, or {_REMEDY}"
        )
    return texts.get("program", "")


def _checksum(text: str, data: bytes) -> str:
    return str(zlib.crc32(data, zlib.crc32(text.encode())))


def _tensors(program: Program, metadata: Metadata) -> Iterator[tuple[str, Array]]:
    yield "head.weight", program.head_weight
    yield "head.bias", program.head_bias
    yield "factors", program.factors
    for name in ("mean", "std"):
        if metadata.get(name) is not None:
            yield f"input.{name}", np.asarray(metadata[name], np.float32)
    for n, network in enumerate(program.networks):
        yield f"{n}.scale", network.scale
        yield f"{n}.shift", network.shift
        for i, instruction in enumerate(network.instructions):
            for name, array in instruction.arrays.items():
                yield f"{n}.{i}.{name}", array


def _network_header(network: Network) -> dict[str, Any]:
    return {
        "blocks": network.blocks,
        "slots": [asdict(slot) for slot in network.slots],
        "instructions": [{"op": one.op, **one.numbers} for one in network.instructions],
        "result": network.result,
    }


class _Reader:
    """Makes a program of the parts of a file; takes every tensor once."""

    def __init__(self, where: str, tensors: dict[str, NDArray[Any]]) -> None:
        self.where = where
        self.tensors = tensors

    def program(self, header: dict[str, Any]) -> tuple[Program, Metadata]:
        joints, channels = header["joints"], header["channels"]
        classes, features = header["classes"], header["features"]
        networks = header["networks"]
        if not networks:
            self.refuse("has no networks")
        program = Program(
            [self.network(n, entry, (joints, channels)) for n, entry in enumerate(networks)],
            self.floats("factors", (len(networks),)),
            self.floats("head.weight", (classes, features)),
            self.floats("head.bias", (classes,)),
        )
        for n, network in enumerate(program.networks):
            result = network.slots[network.result]
            if not isinstance(result, FeatureSlot) or result.channels != features:
                self.refuse(f"network {n} ends with {shown(result)}, not {features} features")
        metadata = {name: header[name] for name in ("about", "input", "temperature")}
        for name in ("mean", "std"):
            if f"input.{name}" in self.tensors:
                metadata[name] = self.floats(f"input.{name}", (joints, channels))
        if self.tensors:
            self.refuse(f"has the unknown tensor {shown(min(self.tensors))}")
        return program, metadata

    def network(self, n: int, entry: dict[str, Any], shape: tuple[int, int]) -> Network:
        check_entries(entry, _NETWORK, self.where, _REMEDY, f"networks.{n}.")
        slots = [self.slot(slot) for slot in entry["slots"]]
        if not slots or slots[0] != FeatureSlot(shape[1]):
            self.refuse(f"network {n} does not begin with a slot of {shape[1]} channels")
        instructions = [
            self.instruction(f"{n}.{i}", slots, numbers)
            for i, numbers in enumerate(entry["instructions"])
        ]
        if not 0 <= entry["result"] < len(slots):
            self.refuse(f"network {n} has the result {entry['result']}, which is no slot")
        scale = self.floats(f"{n}.scale", (None, *shape))
        shift = self.floats(f"{n}.shift", scale.shape)
        return Network(entry["blocks"], slots, instructions, entry["result"], scale, shift)

    def slot(self, entry: dict[str, int]) -> FeatureSlot | GraphSlot:
        if min(entry.values(), default=-1) >= 0:
            if set(entry) == {"channels", "halo"}:
                return FeatureSlot(**entry)
            if set(entry) == {"floats"}:
                return GraphSlot(**entry)
        return self.refuse(f"the slot {shown(entry)} is unknown")

    def instruction(
        self, place: str, slots: list[FeatureSlot | GraphSlot], entry: dict[str, Any]
    ) -> Instruction:
        numbers = dict(entry)
        op = numbers.pop("op", None)
        known = OPERATIONS.get(op) if isinstance(op, str) else None
        if known is None:
            self.refuse(f"instruction {place} has the unknown operation {shown(op)}")
        if set(numbers) != {*known.slots, *known.numbers}:
            self.refuse(f"instruction {place} ({op}) has the fields {shown(sorted(numbers))}")
        for name, number in numbers.items():
            if name in known.slots:
                least, most = -known.slots[name], len(slots) - 1
            else:
                least, most = known.numbers[name], 2**31 - 1
            if type(number) is not int or not least <= number <= most:
                self.refuse(f"instruction {place} ({op}) has {name} {shown(number)}")
            if name in known.slots and number >= 0:
                graph = name == "graph" or (name == "out" and op in MAKES_GRAPH)
                if isinstance(slots[number], GraphSlot) != graph:
                    self.refuse(f"instruction {place} ({op}) has a slot of another kind as {name}")
        arrays: dict[str, Array] = {
            name: self.take(f"{place}.{name}", np.int32) for name in known.integers
        }
        arrays |= {name: self.take(f"{place}.{name}", np.float32) for name in known.floats}
        return Instruction(op, numbers, arrays)

    def floats(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        array = self.take(name, np.float32)
        fits = len(array.shape) == len(shape) and all(
            size == wanted if wanted is not None else size > 0
            for size, wanted in zip(array.shape, shape, strict=True)
        )
        if not fits:
            self.refuse(f"{name} has the shape {array.shape}, not {shape}")
        return array

    def take(self, name: str, kind: Any) -> NDArray[Any]:
        array = self.tensors.pop(name, None)
        if array is None or array.dtype != kind:
            found = "missing" if array is None else f"of type {array.dtype}"
            self.refuse(f"the tensor {name} is {found}")
        return array

    def refuse(self, reason: str) -> NoReturn:
        raise InputError(f"{self.where}: {reason}; {_REMEDY}")
