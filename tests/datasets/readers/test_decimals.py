from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_stgcn.datasets.readers.decimals import parse_decimals


def parse(*numbers: str) -> list[float]:
    text = "".join(f"{number} " for number in numbers).encode()
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord(" "))
    starts = np.concatenate([[0], ends[:-1] + 1])
    return parse_decimals(text, starts, ends).tolist()


def bits(number: float) -> bytes:
    return struct.pack("d", number)


decimals = st.from_regex(r"-?([0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,20})", fullmatch=True)
floats = st.floats(allow_nan=False, allow_infinity=False).map(repr)


@given(st.lists(st.one_of(decimals, floats), min_size=1, max_size=20))
def test_the_same_as_float(numbers: list[str]) -> None:
    expected = [bits(float(number)) for number in numbers]
    assert [bits(number) for number in parse(*numbers)] == expected


def test_every_length_and_place_of_the_point() -> None:
    digits = "98765432109876543210"
    numbers = [
        digits[:point] + "." + digits[point:length]
        for length in range(1, 21)
        for point in range(length + 1)
    ]
    assert [bits(number) for number in parse(*numbers)] == [bits(float(n)) for n in numbers]


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "-.", "1.2.3", "--1", "1-", "x", "0x10", "1_0", "nan", "inf", "1e", "1,5"],
)
def test_what_is_no_number_is_nan(text: str) -> None:
    first, wrong, last = parse("1.5", text, "-2")
    assert (first, last) == (1.5, -2.0)
    assert np.isnan(wrong)


def test_very_long_numbers_take_no_longer() -> None:
    assert parse("1" * 100_000 + ".5", "0." + "0" * 100_000 + "1") == [np.inf, 0.0]


def test_no_numbers() -> None:
    none = np.zeros(0, np.int64)
    assert parse_decimals(b"", none, none).tolist() == []
