"""TOML files that somebody may have changed since they were written."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.items

from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import check_depth, read_text

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
    # Names of files may hold halves of surrogate pairs.
    text = read_text(path, remedy, max_bytes=MAX_BYTES, errors="surrogatepass")
    try:
        content = tomllib.loads(text)
        check_depth(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error}); {remedy}") from None
    return content


def to_toml(content: Mapping[str, Any]) -> str:
    """Write a table; entries of the value ``None``, which TOML does not know, are left out.

    Args:
        content: Texts, numbers, truth values, and lists and dictionaries of them.

    Example:
        >>> print(to_toml({"lr": 0.1, "data": {"names": ["a"]}}))
        lr = 0.1
        <BLANKLINE>
        [data]
        names = ["a"]
        <BLANKLINE>
    """
    return tomlkit.dumps(_without_none(content))


def toml_item(value: Any, comment: str) -> tomlkit.items.Item:
    """A value in one line, with a comment behind it."""
    item = tomlkit.item(value)
    if isinstance(value, dict):
        item = tomlkit.inline_table()
        item.update(value)
    return item.comment(comment)


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return value
