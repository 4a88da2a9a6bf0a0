"""Foreign JSON: every value is looked at before it is used."""

from __future__ import annotations

import json
import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxlong = 3, 4, 20
_REMEDY = "extract it again from the archive, or take it away"


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        data: Contents of the file.
        where: What to call the file in an error.

    Raises:
        InputError: If it is no JSON, or anything else than an object.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is no JSON ({error}); {_REMEDY}") from error
    return check_type(content, dict, where, "the file")


def check_type(value: Any, kind: type, where: str, what: str) -> Any:
    """The value, if it is of a type.

    Raises:
        InputError: If it is not, or is a truth value in place of a number.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {dict: "an object", list: "a list", int: "a whole number", str: "a text"}
        raise InputError(f"{where}: {what} is {_REPR.repr(value)}, not {names[kind]}; {_REMEDY}")
    return value


def parse_numbers(
    value: Any, shape: tuple[int | None, ...], where: str, what: str
) -> NDArray[np.float64]:
    """Nested lists of numbers as an array.

    Args:
        value: The lists.
        shape: Length in every dimension; ``None`` where any will do.
        where: What to call the file in an error.
        what: What to call the numbers.

    Raises:
        InputError: If they are no finite numbers, or not of this shape.
    """
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu" and array.size:
        raise InputError(f"{where}: {what} is {_REPR.repr(value)}, not numbers; {_REMEDY}")
    fits = len(array.shape) == len(shape) and all(
        length in (None, found) for length, found in zip(shape, array.shape, strict=True)
    )
    if not fits or not np.isfinite(array.astype(np.float64)).all():
        wanted = "x".join("any" if length is None else str(length) for length in shape)
        raise InputError(
            f"{where}: {what} is {_REPR.repr(value)}, not {wanted} finite numbers; {_REMEDY}"
        )
    return array.astype(np.float64)
