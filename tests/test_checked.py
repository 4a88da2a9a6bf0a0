from __future__ import annotations

from typing import Any

import pytest

from pyg_stgcn.checked import brief, check_entries, is_of_type, shown
from pyg_stgcn.errors import InputError


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, int, True),
        (True, int, False),
        (1.0, int, False),
        (2**64, int, False),
        (1, float, True),
        (False, float, False),
        (float("nan"), float, False),
        (float("inf"), float, False),
        (10**400, float, False),
        ("a", str, True),
        ("a" * 5000, str, False),
        ("a\udcff", str, True),
        ("a\ud800", str, False),
        (None, str | None, True),
        (3, str | None, False),
        ([0.5, 1], list[float], True),
        ([0.5, "1"], list[float], False),
        ((0.5,), list[float], False),
        ({"a": 1}, dict[str, float], True),
        ({"a": None}, dict[str, float], False),
        ({"a": None}, dict, True),
        ([{"a": object()}], list[dict[str, Any]], True),
    ],
)
def test_types(value: object, annotation: Any, expected: bool) -> None:
    assert is_of_type(value, annotation) is expected


def test_errors_name_file_entry_value_type_and_remedy() -> None:
    types = {"levels": list[float] | None, "seed": int}
    check_entries({"levels": None, "seed": 3, "more": 1}, types, "a.json", "copy it")
    check_entries({"seed": 3}, types, "a.json", "copy it", all_needed=False)
    for content, message in (
        ([], r"a\.json: options is \[\], not an object; copy it"),
        ({"levels": None}, r"a\.json: there is no entry options\.seed; copy it"),
        (
            {"levels": ["x"], "seed": 3},
            r"a\.json: options\.levels is \['x'\], not a list of which every entry is a finite "
            "number or null; copy it",
        ),
    ):
        with pytest.raises(InputError, match=f"^{message}$"):
            check_entries(content, types, "a.json", "copy it", "options.")


def test_what_is_quoted_is_short_and_of_one_line() -> None:
    assert len(shown(["a" * 10**6] * 100)) < 600
    assert brief(ValueError("bad \x1b[2J\nmore")) == "bad ?[2J"
    assert len(brief(ValueError("x" * 10**6))) == 300
