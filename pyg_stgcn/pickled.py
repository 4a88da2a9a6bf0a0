"""The objects that a foreign pickle may build: stand-ins for NumPy's types, checked containers."""

from __future__ import annotations

import math
import re
import reprlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_KEY = 2**16
_LONGEST_TUPLE = 8
#: Numbers in the keys of a whole file: thousands can be chosen so that they have one hash, and then
#: each is compared with all others. The hashes of texts cannot be foreseen.
MOST_NUMBERS = 20_000
#: An axis of an empty array may have this length. All others are bounded by their data.
_LONGEST_EMPTY = 2**16


def _shown(value: object) -> str:
    # The full text of a nested container could be as long as its author likes.
    return reprlib.repr(value)[:80]


class RefusedError(Exception):
    """The pickle names something that it may not have."""


class DType:
    """Stands in for a NumPy data type: the real one would accept a crafted state."""

    __slots__ = ("dtype",)

    _NAME = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|[SU][1-9]\d{0,5})")

    def __init__(self, name: object) -> None:
        if not isinstance(name, str) or not self._NAME.fullmatch(name):
            raise RefusedError(f"NumPy data of type {_shown(name)}")
        self.dtype: np.dtype[Any] = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, *structure = state[1:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure):
            raise RefusedError("a structured NumPy data type")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class Array(np.ndarray[Any, Any]):
    """An array that checks its state before NumPy takes it."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, raw = state
        data = _as_bytes(raw)
        if not isinstance(dtype, DType) or data is None:
            raise RefusedError("a NumPy array of objects")
        _check_size(shape, dtype, data)
        super().__setstate__((1, shape, dtype.dtype, bool(is_fortran), data))  # type: ignore[arg-type]


def _as_bytes(raw: object) -> bytes | None:
    # Python 2 wrote bytes as it wrote texts.
    if isinstance(raw, str):
        return raw.encode("latin1")
    return raw if isinstance(raw, bytes) else None


def _check_size(shape: tuple[int, ...], dtype: DType, raw: bytes | bytearray) -> None:
    longest = max(len(raw), _LONGEST_EMPTY)
    # Before they are multiplied: a product of huge numbers would take for ever.
    if (
        not isinstance(shape, tuple)
        or len(shape) > 64
        or not all(isinstance(length, int) and 0 <= length <= longest for length in shape)
    ):
        raise ValueError(f"array of shape {_shown(shape)} has {len(raw)} bytes")
    size = math.prod(shape) * dtype.dtype.itemsize
    if size != len(raw):
        raise ValueError(f"array of shape {shape} has {len(raw)} bytes instead of {size}")


class _ArrayType:
    """Stands in for ``numpy.ndarray``, which a pickle may name but not call."""

    __slots__ = ()


_ARRAY_TYPE = _ArrayType()


def _reconstruct(kind: object, *_: object) -> NDArray[Any]:
    if kind is not _ARRAY_TYPE:
        raise RefusedError("an array of a class of its own")
    return Array(0, np.int8)


def _from_buffer(
    raw: object, dtype: object, shape: tuple[int, ...], order: str, axes: Any = None
) -> NDArray[Any]:
    # Other buffers could be freed while this array still looks into them.
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, DType):
        raise RefusedError("a NumPy array of objects")
    _check_size(shape, dtype, raw)
    array = np.frombuffer(raw, dtype.dtype)
    if order == "K" and axes is not None:
        return array.reshape(shape).transpose(axes)
    return array.reshape(shape, order=order)  # type: ignore[call-overload]


def _scalar(dtype: object, raw: object = None) -> Any:
    data = _as_bytes(raw)
    if not isinstance(dtype, DType) or data is None:
        raise RefusedError("a NumPy scalar object")
    _check_size((), dtype, data)
    return np.frombuffer(data, dtype.dtype)[0]


def _make_dtype(name: object, *_: object) -> DType:
    return DType(name)


def _encode(text: str, encoding: str) -> bytes:
    # Protocol 2 writes bytes as text in Latin 1. Other codecs could unpack or import things.
    if encoding != "latin1":
        raise RefusedError(f"the codec {_shown(encoding)}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


def check_keys(keys: Iterable[object]) -> int:
    """Refuse what must not be hashed: nested values that take for ever, or all of the stack.

    Returns:
        How many of the keys, or of their parts, are no texts.

    Raises:
        RefusedError: If a key is neither a number, a text, bytes, ``None`` nor a short tuple of
            these, or is too long, or there are too many numbers.
    """
    numbers = 0
    for key in keys:
        # Nearly all keys are short texts, and there may be millions.
        if type(key) is str and len(key) <= LONGEST_KEY:
            continue
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) > _LONGEST_TUPLE:
            raise RefusedError(f"a tuple of {len(parts)} as the key of a dict or in a set")
        for part in parts:
            _check_flat_key(part)
            numbers += not isinstance(part, str | bytes)
        if numbers > MOST_NUMBERS:
            raise RefusedError(f"more than {MOST_NUMBERS} numbers as keys of dicts and in sets")
    return numbers


def _check_flat_key(key: object) -> None:
    if isinstance(key, str | bytes):
        if len(key) > LONGEST_KEY:
            raise RefusedError(f"a key of {len(key)} characters")
    elif isinstance(key, int):
        if not -(2**63) <= key < 2**64:
            raise RefusedError(f"a key of {key.bit_length()} bits")
    elif not isinstance(key, float | np.generic | None):
        raise RefusedError(f"a nested {type(key).__name__} as the key of a dict or in a set")


def _checked(members: Iterable[Any]) -> list[Any]:
    checked = list(members)
    check_keys(checked)
    return checked


def _set(members: Iterable[Any] = ()) -> set[Any]:
    return set(_checked(members))


def _frozenset(members: Iterable[Any] = ()) -> frozenset[Any]:
    return frozenset(_checked(members))


def _ordered_dict(items: Iterable[Any] = ()) -> OrderedDict[Any, Any]:
    pairs = [(key, value) for key, value in items]
    check_keys(key for key, _ in pairs)
    return OrderedDict(pairs)


#: What a pickle gets for a name.
ALLOWED: Mapping[tuple[str, str], object] = {
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _ordered_dict,
    ("numpy", "dtype"): _make_dtype,
    ("numpy", "ndarray"): _ARRAY_TYPE,
    # Protocols up to 2 give the names of Python 2.
    **{
        (module, name): kind
        for module in ("builtins", "__builtin__")
        for name, kind in (("set", _set), ("frozenset", _frozenset), ("bytes", _empty_bytes))
    },
    **{
        (f"{core}.{module}", name): function
        for core in ("numpy.core", "numpy._core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
