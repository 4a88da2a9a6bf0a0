"""Small text and JSON files, read with limits on size and depth."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError

#: Far above the records of a run; in memory, the content takes about thirty times as much.
MAX_BYTES = 32 << 20
MAX_DEPTH = 64


def read_text(
    path: Path, remedy: str, *, max_bytes: int = MAX_BYTES, errors: str = "strict"
) -> str:
    """Read a small text file.

    Args:
        path: The file.
        remedy: The end of the error.
        max_bytes: Maximum size.
        errors: Treatment of bytes that are not UTF-8, as in :meth:`bytes.decode`.

    Raises:
        InputError: The file is missing, not a regular file, too large, or not UTF-8.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "there is no such file"
        raise InputError(f"{path}: {what}; {remedy}")
    if (size := path.stat().st_size) > max_bytes:
        raise InputError(f"{path}: has {size} bytes, more than {max_bytes}; {remedy}")
    try:
        return path.read_text(encoding="utf-8", errors=errors)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: damaged ({error}); {remedy}") from None


def read_json(path: Path, remedy: str) -> Any:
    """Read a small JSON file.

    Args:
        path: The file.
        remedy: The end of the error.

    Raises:
        InputError: As :func:`read_text` and :func:`parse_json`.
    """
    return parse_json(read_text(path, remedy), str(path), remedy)


def parse_json(text: str, where: str, remedy: str) -> Any:
    """Parse JSON with unique keys and moderate depth.

    Args:
        text: The JSON.
        where: Name of the text in errors.
        remedy: The end of the error.

    Raises:
        InputError: The text is not JSON, repeats a key, or is nested too deeply.
    """
    try:
        content = json.loads(text, object_pairs_hook=_with_unique_keys)
        check_depth(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: damaged ({error}); {remedy}") from None
    return content


def _with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the entry {twice[:40]!r} occurs twice")
    return content


def check_depth(content: Any) -> None:
    level, depth = [content], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        level, depth = [inner for part in level for inner in _parts(part)], depth + 1


def _parts(content: Any) -> Collection[Any]:
    if isinstance(content, dict):
        return content.values()
    return content if isinstance(content, list) else ()
