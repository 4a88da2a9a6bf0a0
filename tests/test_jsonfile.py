from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import parse_json, read_json, read_text


def test_plain_content_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2.5, null, "\\ud83d\\ude00 ä"]}', encoding="utf-8")
    assert read_json(path, "") == {"a": [1, 2.5, None, "😀 ä"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "damaged"),
        ("[" * 200 + "]" * 200, "nested more than 64 levels deep"),
        ('{"a": 1, "b": 2, "a": 3}', "the entry 'a' occurs twice"),
        ("9" * 5000, "damaged"),
        ("{", "damaged .*line 1"),
        ("", "damaged"),
    ],
)
def test_everything_else_is_refused_with_file_and_remedy(text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^runs/a\.json: .*{message}.*; copy it again$"):
        parse_json(text, "runs/a.json", "copy it again")


def test_files_that_hold_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(InputError, match=r"a\.json: there is no such file; help$"):
        read_json(path, "help")
    with pytest.raises(InputError, match=r"is not a file; help$"):
        read_json(tmp_path, "help")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"is not a file; help$"):
        read_json(tmp_path / "pipe", "help")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"damaged .*utf-8.*; help$"):
        read_json(path, "help")
    path.write_text('"0123456789"')
    assert read_text(path, "help", max_bytes=12) == '"0123456789"'
    with pytest.raises(InputError, match=r"has 12 bytes, more than 10; help$"):
        read_text(path, "help", max_bytes=10)
