"""The first value of a JSON file, by which its format is recognised."""

from __future__ import annotations

import json
import re
from typing import Any

_DECODER = json.JSONDecoder()
_FIRST_ITEM = re.compile(r"\s*\[\s*(?=\{)")
_FIRST_MEMBER = re.compile(r'\s*\{\s*("(?:[^"\\]|\\.)*")\s*:\s*')


def first_item(head: bytes) -> dict[str, Any] | None:
    """The first object in the array that a file starts with; None if it starts otherwise.

    Args:
        head: The start of the file; if the object is longer, the result is None.
    """
    text = _decode(head)
    found = _FIRST_ITEM.match(text)
    return _object_at(text, found.end()) if found else None


def first_member(head: bytes) -> tuple[str, dict[str, Any] | None] | None:
    """The first key of the object that a file starts with, and its value if it is an object.

    Args:
        head: The start of the file; if the value is longer, it is None.
    """
    text = _decode(head)
    if (found := _FIRST_MEMBER.match(text)) is None:
        return None
    try:
        key = str(json.loads(found[1]))
    except ValueError:
        return None
    return key, _object_at(text, found.end())


def _decode(head: bytes) -> str:
    return head.decode("utf-8-sig", errors="replace")


def _object_at(text: str, start: int) -> dict[str, Any] | None:
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
