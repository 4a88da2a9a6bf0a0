"""Type checks of values from files, against annotations."""

from __future__ import annotations

import math
import reprlib
import sys
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from pyg_stgcn.errors import InputError

#: Of a text: no name and no path is longer.
_LONGEST_TEXT = 4096
_TOLD = {
    str: f"a text of at most {_LONGEST_TEXT} characters in valid Unicode",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    type(None): "null",
    dict: "an object",
    list: "a list",
}
_LONGEST_QUOTE = 300
_LARGEST_INT = 2**63 - 1
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict = 2, 4, 3
_REPR.maxlong, _REPR.maxstring = 20, 80


def check_entries(
    content: Any,
    types_of: Mapping[str, Any],
    where: object,
    remedy: str,
    prefix: str = "",
    *,
    all_needed: bool = True,
) -> None:
    """Check that an object has entries of the types that annotations name.

    Args:
        content: What was read.
        types_of: Annotation of every entry, such as ``list[float] | None``.
        where: The file, for the error.
        remedy: What to do about it, the end of the error.
        prefix: What to put before the names of the entries in the error, such as ``"data."``.
        all_needed: Whether an entry that is not there is an error.

    Raises:
        InputError: It is no object, or an entry is missing or of another type.
    """
    if not isinstance(content, dict):
        name = prefix.rstrip(".") or "the content"
        raise InputError(f"{where}: {name} is {shown(content)}, not an object; {remedy}")
    for name, annotation in types_of.items():
        if name not in content:
            if not all_needed:
                continue
            raise InputError(f"{where}: there is no entry {prefix}{name}; {remedy}")
        if not is_of_type(content[name], annotation):
            raise InputError(
                f"{where}: {prefix}{name} is {shown(content[name])}, not {_told(annotation)}; "
                f"{remedy}"
            )


def is_of_type(value: Any, annotation: Any) -> bool:
    """Whether a value is of an annotated type, with all that it holds.

    A number is finite and within the range of the machine's, ``float`` admits whole numbers, and no
    truth value is a number.
    """
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(is_of_type(value, option) for option in arguments)
    if annotation is Any:
        return True
    if annotation is None:
        return value is None
    if origin is float:
        return _is_number(value, (int, float)) and abs(value) <= sys.float_info.max
    if origin is int:
        return _is_number(value, int) and abs(value) <= _LARGEST_INT
    if not isinstance(value, origin) or (origin is str and not _is_text(value)):
        return False
    if not arguments:
        return True
    if origin is dict:
        of_keys, of_values = arguments
        return all(is_of_type(k, of_keys) and is_of_type(v, of_values) for k, v in value.items())
    (of_items,) = arguments
    return all(is_of_type(item, of_items) for item in value)


def _is_text(value: str) -> bool:
    try:
        # The names of files may hold halves of a surrogate pair that stand for single bytes.
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return len(value) <= _LONGEST_TEXT


def _is_number(value: Any, kind: Any) -> bool:
    return (
        isinstance(value, kind)
        and not isinstance(value, bool)
        and not (isinstance(value, float) and math.isnan(value))
    )


def _told(annotation: Any) -> str:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_told, arguments))
    if origin in (list, dict) and arguments and arguments[-1] is not Any:
        inner = _told(arguments[-1])
        return f"{_TOLD[origin]} of which every entry is {inner}"
    return _TOLD[origin]


def shown(value: Any) -> str:
    """A value, shortened for a message."""
    return _REPR.repr(value)


def brief(error: BaseException) -> str:
    """The first line of an error of another library, shortened, to be quoted in one of ours."""
    line = str(error).strip().partition("\n")[0]
    text = line if len(line) <= _LONGEST_QUOTE else f"{line[: _LONGEST_QUOTE - 3]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in text)
