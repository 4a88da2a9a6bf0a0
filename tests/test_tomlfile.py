"""TOML is read back as it was written, and refused where it is damaged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton, list_skeletons
from pyg_stgcn.tomlfile import MAX_BYTES, read_toml, to_toml, toml_item

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Halves of surrogate pairs, too, as names of files have them.
TEXTS = st.text(st.characters())
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_everything_is_read_back(content: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(content)) == content


@pytest.mark.parametrize("name", list_skeletons())
def test_skeletons_are_read_back(name: str) -> None:
    description = get_skeleton(name).to_dict()
    assert tomllib.loads(to_toml(description)) == description


def test_nothing_is_left_out() -> None:
    assert tomllib.loads(to_toml({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


def test_a_value_stands_in_one_line_before_its_comment() -> None:
    assert toml_item({"a": 1, "b": "x"}, "help").as_string() == '{a = 1, b = "x"}'
    assert toml_item([1, 2], "help").trivia.comment == "# help"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "damaged"),
        (b"a = 1\na = 2", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"a = " + b"[" * 100_000, "damaged"),
        (b"a = " + b"[" * 200 + b"]" * 200, "damaged"),
        (b"a = " + b"9" * 10_000, "damaged"),
        (b"#" * (MAX_BYTES + 1), "has 4194305 bytes, more than 4194304"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.toml: {message}.*; write it again"):
        read_toml(path, "write it again")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file; write it"):
        read_toml(tmp_path / "a.toml", "write it")
    with pytest.raises(InputError, match="is not a file; write it"):
        read_toml(tmp_path, "write it")
