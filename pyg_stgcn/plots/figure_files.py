"""Names of the files of figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_place
from pyg_stgcn.text import suggestion

FORMATS = (".pdf", ".svg", ".png")
"""Endings of a figure's name; the ending selects the format."""
ANIMATION = ".gif"
VIDEO = ".mp4"
CLIP_FORMATS = (*FORMATS, ANIMATION)
"""Endings of the name of a clip's figure, which may be an animation."""
OVERLAY_FORMATS = (VIDEO, ANIMATION)
"""Endings of the name of an overlay."""


def check_figure(path: Path, formats: Sequence[str] = FORMATS) -> None:
    """Check that a figure can be written into a file.

    Args:
        path: The file.
        formats: Endings that its name may have, in lower case.

    Raises:
        InputError: The name has another ending, or its folder does not exist.

    Example:
        >>> check_figure(Path("masks.pgn"))
        Traceback (most recent call last):
        pyg_stgcn.errors.InputError: masks.pgn: the name of a figure ends in .pdf, .svg or .png \
(did you mean '.png'?)
    """
    if path.suffix.lower() not in formats:
        endings = f"{', '.join(formats[:-1])} or {formats[-1]}"
        usual = ".png" if ".png" in formats else formats[0]
        close = suggestion(path.suffix.lower(), formats) or f" (did you mean {path.stem}{usual}?)"
        raise InputError(f"{path}: the name of a figure ends in {endings}{close}")
    check_place(path)
