"""Titles of figures: plain text, broken into lines that fit."""

from __future__ import annotations

import contextlib
import logging
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

from pyg_stgcn.text import shorten

logger = logging.getLogger(__name__)

_DPI = 72
#: Most lines of a title, and most characters of a line before it is broken. The middle of a longer
#: line is omitted.
_LINES, _CHARACTERS = 6, 400


@contextlib.contextmanager
def missing_glyphs_reported(path: Path) -> Iterator[None]:
    """Warn once, within the context, of characters that a figure shows as boxes.

    Matplotlib warns of each one, and again whenever the text is measured.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    glyphs = {str(warning.message): warning for warning in caught}
    for message, warning in list(glyphs.items()):
        if not re.match("Glyph .* missing from", message):
            del glyphs[message]
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if glyphs:
        logger.warning(
            "%s: %d characters of names are not in the font of the figure and drawn as boxes",
            path,
            len(glyphs),
        )


def text_width(text: str, size: str) -> float:
    """Width of a line of plain text in inches, in a font size such as ``"small"``."""
    width, _, _ = RendererAgg(1, 1, _DPI).get_text_width_height_descent(
        text, FontProperties(size=size), ismath=False
    )
    return float(width) / _DPI


def fit_title(title: str, size: str, width: float) -> str:
    """Break a title into lines of at most ``width`` inches; long titles end in an ellipsis.

    Matplotlib's own wrapping takes dollar signs for formulas, even where it is told not to, and
    does not break long words.
    """
    lines: list[str] = []
    # File names may hold lone surrogates, which cannot be drawn.
    for line in title.encode(errors="replace").decode().splitlines():
        line = shorten(line, _CHARACTERS)
        most = len(line)
        broken = [line]
        while most > 1 and max(text_width(part, size) for part in broken) > width:
            broken = textwrap.wrap(line, most) or [""]
            most = most * 9 // 10
        lines += broken
    return "\n".join(lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "..."])
