"""Text from outside the package, such as names of classes and files, made fit to be shown."""

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
#: Joins letters of Persian and Indian words, and the parts of an emoji.
_JOINERS = "\u200c\u200d"
#: Control characters, line and paragraph separators, what changes the direction of a text or is not
#: seen at all, and halves of surrogate pairs, which no file can hold.
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: object, *, keep: str = "") -> str:
    r"""Write characters that would steer a terminal, or not be seen, as escapes such as ``\x1b``.

    Args:
        text: Anything; what ``str`` makes of it.
        keep: Characters to leave alone, such as a line feed in a text of several lines.
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
    """As :func:`printable`, but a text of blanks alone is put in quotes, to be seen."""
    shown = printable(text)
    return shown if shown.strip() else repr(shown)


def joined(*parts: str | None) -> str:
    """Parts with commas between them, without those that are ``None``."""
    return ", ".join(part for part in parts if part is not None)


def shorten(text: str, most: int) -> str:
    """Leave out the middle of a text that is longer than so many characters."""
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[head + 1 - most :]}"


def label(name: object, most: int = 40) -> str:
    """Prepare a name from outside for a figure: no formula, readable, and not too long.

    Args:
        name: What to show.
        most: Characters; of a longer name the middle is left out.
    """
    text = shorten(readable(name), most)
    if text.startswith("_"):
        text = f" {text}"  # Else the legend would leave it out.
    return text.replace("$", r"\$")


def to_json(content: object) -> str:
    r"""Write indented JSON that holds every text exactly, in printable characters.

    Non-ASCII letters stay as they are; what :func:`printable` would escape is written as
    ``\u001b``, which JSON reads back as the same character.
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
    """Quote a word for a shell: in one line of printable characters, for bash where need be."""
    if printable(word) == word:
        return shlex.quote(word)
    shown = (
        chr(byte) if byte in range(0x20, 0x7F) and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(shown)}'"
