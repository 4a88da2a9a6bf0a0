"""Read foreign pickles without running what they contain.

A pickle is a program. These may build plain containers, numbers, texts and NumPy arrays of numbers
or texts; the first name of anything else ends the reading before it is looked up.
"""

from __future__ import annotations

import math
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError


def load_pickle(path: str | os.PathLike[str]) -> Any:
    """Load a pickle of plain containers and NumPy arrays.

    Arrays and scalars may have been written by any version of NumPy and with any protocol.

    Args:
        path: The file.

    Raises:
        InputError: If the file cannot be read, is no pickle, or names anything else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _RestrictedUnpickler(file).load()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except _RefusedError as error:
        raise InputError(
            f"{path}: the pickle asks for {error}, which is refused; nothing of it was executed. "
            "Only dicts, lists, numbers, texts and NumPy arrays of them are read: convert the rest "
            "to these"
        ) from None
    except MemoryError:
        raise InputError(f"{path}: the pickle asks for more memory than there is") from None
    except Exception as error:  # Damaged bytes can raise anything a container or array can.
        raise InputError(
            f"{path}: not a complete pickle ({type(error).__name__}: {error}); fetch it again"
        ) from error


class _RefusedError(Exception):
    """The pickle names something that it may not have."""


class _DType:
    """Stands in for a NumPy data type: the real one would accept a crafted state."""

    __slots__ = ("dtype",)

    _NAME = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|[SU][1-9]\d{0,5})")

    def __init__(self, name: object) -> None:
        if not isinstance(name, str) or not self._NAME.fullmatch(name):
            raise _RefusedError(f"NumPy data of type {name!r}")
        self.dtype: np.dtype[Any] = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, *structure = state[1:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure):
            raise _RefusedError("a structured NumPy data type")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray[Any, Any]):
    """An array that checks its state before NumPy takes it."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, raw = state
        if not isinstance(dtype, _DType) or not isinstance(raw, bytes):
            raise _RefusedError("a NumPy array of objects")
        _check_size(shape, dtype, raw)
        super().__setstate__((1, shape, dtype.dtype, bool(is_fortran), raw))  # type: ignore[arg-type]


def _check_size(shape: tuple[int, ...], dtype: _DType, raw: bytes | bytearray) -> None:
    size = math.prod(shape) * dtype.dtype.itemsize
    if any(length < 0 for length in shape) or size != len(raw):
        raise ValueError(f"array of shape {shape} has {len(raw)} bytes instead of {size}")


class _ArrayType:
    """Stands in for ``numpy.ndarray``, which a pickle may name but not call."""

    __slots__ = ()


_ARRAY_TYPE = _ArrayType()


def _reconstruct(kind: object, *_: object) -> NDArray[Any]:
    if kind is not _ARRAY_TYPE:
        raise _RefusedError("an array of a class of its own")
    return _Array(0, np.int8)


def _from_buffer(
    raw: object, dtype: object, shape: tuple[int, ...], order: str, axes: Any = None
) -> NDArray[Any]:
    # Other buffers could be freed while this array still looks into them.
    if not isinstance(raw, bytes | bytearray) or not isinstance(dtype, _DType):
        raise _RefusedError("a NumPy array of objects")
    _check_size(shape, dtype, raw)
    array = np.frombuffer(raw, dtype.dtype)
    if order == "K" and axes is not None:
        return array.reshape(shape).transpose(axes)
    return array.reshape(shape, order=order)  # type: ignore[call-overload]


def _scalar(dtype: object, raw: object = None) -> Any:
    if not isinstance(dtype, _DType) or not isinstance(raw, bytes):
        raise _RefusedError("a NumPy scalar object")
    _check_size((), dtype, raw)
    return np.frombuffer(raw, dtype.dtype)[0]


def _make_dtype(name: object, *_: object) -> _DType:
    return _DType(name)


def _encode(text: str, encoding: str) -> bytes:
    # Protocol 2 writes bytes as text in Latin 1. Other codecs could unpack or import things.
    if encoding != "latin1":
        raise _RefusedError(f"the codec {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


_ALLOWED: dict[tuple[str, str], object] = {
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _make_dtype,
    ("numpy", "ndarray"): _ARRAY_TYPE,
    # Protocols up to 2 give the names of Python 2.
    **{
        (module, name): kind
        for module in ("builtins", "__builtin__")
        for name, kind in (("set", set), ("frozenset", frozenset), ("bytes", _empty_bytes))
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


# The implementation in Python: that in C reserves memory for any number that a damaged or hostile
# file gives as the place of an object, up to 64 GiB.
class _RestrictedUnpickler(pickle._Unpickler):
    stack: list[Any]
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            # As Python would write it: a damaged name may hold anything.
            raise _RefusedError(repr(f"{module}.{name}"[:80])) from None

    def load_build(self) -> None:
        # Any other object would have its attributes overwritten.
        if not isinstance(self.stack[-2], _Array | _DType):
            raise _RefusedError(f"changes to a {type(self.stack[-2]).__name__}")
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build
