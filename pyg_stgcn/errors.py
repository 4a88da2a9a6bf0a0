"""The one error raised for input that the package cannot use."""

from __future__ import annotations


class InputError(ValueError):
    """A file, option or value given by the user cannot be used.

    The message is meant for that user: what is wrong, with the value, and what to do instead.
    """
