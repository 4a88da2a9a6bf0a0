"""Text from outside, such as names of classes and files, made safe to show."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable

#: Characters; the comparison of longer words takes long.
_LONGEST_WORD = 100
#: Joiners of letters in Persian and Indian words, and of the parts of an emoji.
_JOINERS = "\u200c\u200d"
#: Categories of control characters, of line and paragraph separators, of invisible characters and
#: those that change the direction of a text, and of halves of surrogate pairs.
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: object, *, keep: str = "") -> str:
    r"""Escape characters that control a terminal or are invisible, such as ``\x1b``.

    Args:
        text: Any object; converted by ``str``.
        keep: Characters that are not escaped, such as line feeds.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        _escape(char) if _is_unprintable(char) and char not in keep else char for char in text
    )


def _is_unprintable(char: str) -> bool:
    return unicodedata.category(char) in _UNPRINTABLE and char not in _JOINERS


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def readable(text: object) -> str:
    """As :func:`printable`; a text of spaces alone is quoted, so that it can be seen."""
    shown = printable(text)
    return shown if shown.strip() else repr(shown)


def joined(*parts: str | None) -> str:
    """Join parts with commas; leave out parts that are ``None``."""
    return ", ".join(part for part in parts if part is not None)


def count(number: int, noun: str) -> str:
    """A number and what it counts, in the plural unless it is one.

    Example:
        >>> count(1, "epoch"), count(2_000, "clip"), count(3, "class"), count(0, "batch")
        ('1 epoch', '2,000 clips', '3 classes', '0 batches')
    """
    ending = "es" if noun.endswith(("s", "tch")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else ending}"


def shorten(text: str, most: int) -> str:
    """Shorten a text to at most so many characters by leaving out its middle."""
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[head + 1 - most :]}"


def label(name: object, most: int = 40) -> str:
    """Prepare a name for a figure: readable, not too long, and without mathematical markup.

    Args:
        name: The name.
        most: Maximum number of characters; a longer name loses its middle.
    """
    text = shorten(readable(name), most)
    if text.startswith("_"):
        text = f" {text}"  # Matplotlib leaves names with an underscore out of legends.
    return text.replace("$", r"\$")


def to_json(content: object) -> str:
    r"""Write indented JSON in printable characters, from which every text can be read back.

    Non-ASCII letters are kept. Characters that :func:`printable` escapes are written as JSON
    escapes such as ``\u001b``.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return re.sub(r"[^\x20-\x7e\n]", _escape_json, text)


def _escape_json(found: re.Match[str]) -> str:
    char = found[0]
    return json.dumps(char)[1:-1] if _is_unprintable(char) else char


def suggestion(word: str, choices: Iterable[str], most: int = 1) -> str:
    """A hint at the choices that are most like a word; empty if none is.

    Args:
        word: Not one of the choices; of a long one nobody would find the mistake.
        choices: All words that are allowed.
        most: Number of choices to name.

    Example:
        >>> suggestion("spacial", ["spatial", "uniform"])
        " (did you mean 'spatial'?)"
    """
    if len(word) > _LONGEST_WORD:
        return ""
    close = difflib.get_close_matches(word, list(choices), n=most, cutoff=0.5)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""


def shell_word(word: str) -> str:
    """Quote a word for a shell, in one line of printable characters; some need bash."""
    if printable(word) == word:
        return shlex.quote(word)
    shown = (
        chr(byte) if byte in range(0x20, 0x7F) and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(shown)}'"
