"""Many decimal numbers in a text, read at once."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

# With up to 15 digits the digits and the power of ten are exact, so that their quotient is rounded
# just once: the result is that of float().
_MAX_DIGITS = 15
_MAX_LENGTH = _MAX_DIGITS + 1
_POWERS = 10.0 ** np.arange(_MAX_DIGITS + 1)
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def parse_decimals(
    text: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Read the numbers ``text[start:end]``, in double precision and as ``float`` reads them.

    Numbers like ``-12.345`` are read all together, one digit of each at a time; what has an
    exponent or more than 15 digits, one by one.

    Args:
        text: Contains the numbers, and a blank or a line end after each.
        starts: Where the numbers start.
        ends: Where they end.

    Returns:
        The numbers; NaN for what is no number.
    """
    chars = np.frombuffer(text, np.uint8)
    negative = chars[starts] == ord("-")
    first = starts + negative
    length = ends - first
    digits = np.zeros(len(starts))
    places = np.zeros(len(starts), np.uint8)
    after_point = np.zeros(len(starts), bool)
    simple = length <= _MAX_LENGTH
    for k in range(min(int(length.max(initial=0)), _MAX_LENGTH)):
        char = chars[np.minimum(first + k, ends)]
        digit = char - np.uint8(ord("0"))  # Of what comes before "0", a large number.
        is_digit = digit < 10
        is_point = char == ord(".")
        simple &= is_digit | (is_point & ~after_point) | (length <= k)
        digits = np.where(is_digit, 10 * digits + digit, digits)
        places += is_digit & after_point
        after_point |= is_point
    num_digits = length - after_point
    simple &= (num_digits > 0) & (num_digits <= _MAX_DIGITS)
    values = digits / _POWERS[np.minimum(places, _MAX_DIGITS)]
    np.negative(values, out=values, where=negative)
    for i in np.flatnonzero(~simple):
        number = text[starts[i] : ends[i]]
        values[i] = float(number) if _NUMBER.fullmatch(number) else np.nan
    return values
