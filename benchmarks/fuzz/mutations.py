"""Mutations of bytes, of JSON and tables, and of arrays."""

from __future__ import annotations

import io
import json
import zipfile
from random import Random
from typing import Any

import numpy as np
import tomllib

from pyg_stgcn.tomlfile import to_toml

TOKENS = [b"-1", b"0", b"9" * 5000, b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"\n", b"\0"]
TOKENS += [b"true", b"[[" * 2000, b'{"a":' * 2000, b"\xff\xfe", b"\\ud800", b"1" * 20, b","]
VALUES: list[Any] = [None, True, False, -1, 0, 1, 3, 7, 10**9, 2**63, 10**30, 10**400, 0.5, -1e300]
VALUES += [float("nan"), float("inf"), "", "x", "../../x", "a\0b", "\ud800", "\x1b[2J", "x" * 10**5]
VALUES += ["random", "spatial", "distance-2", "distance-999999999999", "joint+bone", "stgcn", "1e9"]
VALUES += [[], [[]], {}, {"x": 1}, [1, 2, 3], [0.5] * 1000, ["a"] * 999, [["a"] * 99] * 99, [None]]


def nested(depth: int) -> Any:
    content: Any = []
    for _ in range(depth):
        content = [content]
    return content


VALUES += [nested(50), nested(500)]


def drawn(values: list[Any], rng: Random) -> Any:
    """A copy of one of some values, whatever its depth."""
    return json.loads(json.dumps(rng.choice(values)))


def mutated_bytes(data: bytes, rng: Random) -> bytes:
    """Flip, cut off, drop, repeat, move or overwrite parts."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        start = rng.randrange(len(data) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 64, max(1, len(data) // 8)))
        middle = data[start : start + length]
        kind = rng.randrange(8)
        if kind < 2 and middle:
            flipped = middle[0] ^ (1 << rng.randrange(8))
            data = data[:start] + bytes([flipped]) + data[start + 1 :]
        elif kind == 2:
            data = data[:start]
        elif kind == 3:
            data = data[:start] + data[start + length :]
        elif kind == 4:
            data = data[: start + length] + middle + data[start + length :]
        elif kind == 5:
            token = rng.choice(TOKENS)
            data = data[:start] + token + data[start + rng.choice((0, len(token))) :]
        elif kind == 6:
            data = data[:start] + rng.randbytes(length) + data[start + length :]
        else:
            data = middle + data[:start] + data[start + length :]
    return data


def mutated_value(content: Any, rng: Random, values: list[Any]) -> Any:
    """Put another value somewhere into nested dicts and lists, or take one away."""
    parent, key, part = None, None, content
    while isinstance(part, dict | list) and part and (parent is None or rng.random() < 0.8):
        parent = part
        key = rng.choice(list(part) if isinstance(part, dict) else range(len(part)))
        part = parent[key]
    if parent is None:
        return drawn(values, rng)
    kind = rng.random()
    if kind < 0.1:
        del parent[key]
    elif kind < 0.2 and isinstance(parent, dict):
        parent[rng.choice(("", "x", "options", "\ud800", "dataset"))] = parent.pop(key)
    elif kind < 0.4 and isinstance(part, int | float) and not isinstance(part, bool):
        parent[key] = rng.choice((-part, part * 10**6, part + 1, float(part), str(part), [part]))
    else:
        parent[key] = drawn(values, rng)
    return content


def mutated_json(data: bytes, rng: Random) -> bytes:
    """Change a value of a JSON text, or its bytes."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = mutated_value(content, rng, VALUES)
    text = json.dumps(content)
    return text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16")))


def mutated_toml(data: bytes, rng: Random) -> bytes:
    """Change a value of a TOML text, or its bytes."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    content = tomllib.loads(data.decode())
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = mutated_value(content, rng, VALUES)
    try:
        return to_toml(content).encode("utf-8", "surrogatepass")
    except (TypeError, AttributeError):  # TOML has no such value.
        return mutated_bytes(data, rng)


FIELDS = ("", "nan", "1e999", "x", "-1", "a,b", '"', "9" * 5000)


def mutated_csv(data: bytes, rng: Random) -> bytes:
    """Change a field of a table, or its bytes."""
    if rng.random() < 0.5:
        return mutated_bytes(data, rng)
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = rng.choice(rows)
    row[rng.randrange(len(row))] = rng.choice(FIELDS)
    return "\n".join(map(",".join, rows)).encode()


def mutated_array(array: np.ndarray[Any, Any], rng: Random) -> np.ndarray[Any, Any]:
    """An array of other numbers, types or shapes."""
    array = array.copy()
    kind = rng.randrange(8)
    if kind == 0:
        return array.astype(rng.choice(("f2", "f8", "i1", "u8", "c8", "S3", ">f4", "U5", "b1")))
    if kind == 1:
        return array.reshape(rng.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
    if kind == 2:
        return array[: rng.randrange(len(array) + 1)]
    if kind == 3:
        return np.concatenate([array, array])
    if kind == 4 and array.dtype.kind in "if":
        odd = rng.choice((-1, 10**6, 0)) if array.dtype.kind == "i" else rng.choice((np.nan, 1e30))
        array.reshape(-1)[rng.randrange(array.size)] = odd
        return array
    if kind == 5:
        return np.array(rng.choice((5, "x", [], [[]], 1.5)))
    if kind == 6:
        return np.asfortranarray(array)
    return np.zeros(rng.choice((0, 1, 2**20)), rng.choice(("f4", "i8", "U1", "V3", "M8[s]")))


def mutated_npz(data: bytes, rng: Random) -> bytes:
    """Change an array, a header (with the checksums of the archive put right), or bytes."""
    if rng.random() < 0.35:
        return mutated_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    kind = rng.randrange(6)
    if kind < 3:
        content = io.BytesIO()
        changed = mutated_array(np.load(io.BytesIO(members[name])), rng)
        np.save(content, changed)
        members[name] = content.getvalue()
    elif kind == 3:
        members[name] = mutated_bytes(members[name][:128], rng) + members[name][128:]
    elif kind == 4:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**9}, {10**9}), }}"
        head = b"\x93NUMPY\x01\0" + (118).to_bytes(2, "little") + header.ljust(117).encode()
        members[name] = head + b"\n" + bytes(rng.choice((0, 4, 2**22)))
    elif rng.random() < 0.5:
        del members[name]
    else:
        members[rng.choice(("x.npy", "names", "../names.npy"))] = members[name]
    target = io.BytesIO()
    method = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(target, "w", method) as archive:
        for member, content_of in members.items():
            archive.writestr(member, content_of)
    return target.getvalue()
