"""TOML files that somebody may have changed since they were written."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import check_depth

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Far above a configuration; the parser takes about a second for it.
MAX_BYTES = 4 << 20


def read_toml(path: Path, remedy: str) -> dict[str, Any]:
    """Read a TOML file of moderate size and depth.

    Args:
        path: The file.
        remedy: The end of the error, which says what to do about the file.

    Raises:
        InputError: The file is missing, too large or damaged.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "there is no such file"
        raise InputError(f"{path}: {what}; {remedy}")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"{path}: has {size} bytes, more than {MAX_BYTES}; {remedy}")
    try:
        # Names of files may hold halves of surrogate pairs.
        content = tomllib.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
        check_depth(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error}); {remedy}") from None
    return content


def to_toml(content: Mapping[str, Any], name: str = "") -> str:
    """Write a table; entries of the value ``None``, which TOML does not know, are left out.

    Args:
        content: Texts, numbers, truth values, and lists and dictionaries of them.
        name: Name of the table, with dots.

    Example:
        >>> print(to_toml({"lr": 0.1, "data": {"names": ["a"]}}))
        lr = 0.1
        <BLANKLINE>
        [data]
        names = ["a"]
        <BLANKLINE>
    """
    values = {key: value for key, value in content.items() if value is not None}
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [f"[{name}]"] if name else []
    lines += [
        f"{toml_key(key)} = {toml_value(value)}"
        for key, value in values.items()
        if key not in tables
    ]
    parts = ["\n".join([*lines, ""])] if len(lines) > bool(name) or not tables else []
    for key, value in tables.items():
        parts.append(to_toml(value, f"{name}.{toml_key(key)}".lstrip(".")))
    return "\n".join(parts)


def toml_key(key: str) -> str:
    """A key, in quotes where it needs them."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _text(key)


def toml_value(value: Any) -> str:
    """A value in one line.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{toml_key(key)} = {toml_value(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _text(value: str) -> str:
    return '"' + re.sub(r"[^ !#-\[\]-~]", _escape, value) + '"'


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if char in '"\\':
        return f"\\{char}"
    # Halves of surrogate pairs have no escape in TOML.
    if char.isprintable() or "\ud800" <= char <= "\udfff":
        return char
    return f"\\U{ord(char):08x}"
