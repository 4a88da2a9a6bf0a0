"""The error for input that the package cannot use, and warnings that are logged once."""

from __future__ import annotations

import logging
from functools import lru_cache


class InputError(ValueError):
    """A file, option or value given by the user cannot be used.

    The message is written for that user: the problem, the value, and the remedy. It names arguments
    of Python; the command line writes them as options.
    """


@lru_cache
def warn_once(logger: logging.Logger, text: str) -> None:
    """Log a warning unless it was logged before: a run opens its data several times."""
    logger.warning("%s", text)
