"""The first object in a JSON file, by whose keys the format is recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_DECODER = json.JSONDecoder()
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[\[{]|[\]}]')
_FIRST_ITEM = re.compile(r"\s*\[\s*(?=\{)")
_FIRST_MEMBER = re.compile(r'\s*\{\s*("(?:[^"\\]|\\.)*")\s*:\s*')


def first_item(head: bytes) -> dict[str, Any] | None:
    """The first object in the array that a file starts with; None if it starts otherwise.

    Args:
        head: The start of the file; of a longer object, only its first keys are known, without
            values.
    """
    text = _decode(head)
    found = _FIRST_ITEM.match(text)
    return _object_at(text, found.end()) if found else None


def first_member(head: bytes) -> tuple[str, dict[str, Any] | None] | None:
    """The first key of the object that a file starts with, and its value if it is an object.

    Args:
        head: The start of the file, as in :func:`first_item`.
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
    if text[start : start + 1] != "{":
        return None
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return dict.fromkeys(_keys_at(text, start))
    return value if isinstance(value, dict) else None


def _keys_at(text: str, start: int) -> Iterator[str]:
    """The keys of an object, as far as the text goes."""
    depth = 0
    for found in _TOKEN.finditer(text, start):
        if found[2] is not None and depth == 1:
            yield found[1][1:-1]
        elif found[1] is None:
            depth += 1 if found[0] in "[{" else -1
            if depth == 0:
                return
