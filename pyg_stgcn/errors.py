"""The one error raised for input that the package cannot use, and warnings about what it can."""

from __future__ import annotations

import logging
from functools import lru_cache


class InputError(ValueError):
    """A file, option or value given by the user cannot be used.

    The message is meant for that user: what is wrong, with the value, and what to do instead.
    """


@lru_cache
def warn_once(logger: logging.Logger, text: str) -> None:
    """Log a warning, unless it has been logged before: a run opens its data several times."""
    logger.warning("%s", text)
