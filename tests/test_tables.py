from __future__ import annotations

import csv
import json
from pathlib import Path

from pyg_stgcn.tables import write_csv, write_json, write_table


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_columns_of_one_name_keep_their_values(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    write_table(table, ["true", "wave", "true", "wave"], [["wave", 1, 2, 3], ["true", 4, 5, 6]])
    assert table.read_bytes() == b"true,wave,true,wave\nwave,1,2,3\ntrue,4,5,6\n"


def test_any_text_comes_back(tmp_path: Path) -> None:
    names = ["a,b", 'say "x"', "two\nlines", "a\rb", "\r\n", "", "\x1b[31m", "日本語", "[/x]"]
    write_table(tmp_path / "table.csv", names, [names, [1] * len(names)])
    assert read(tmp_path / "table.csv") == [names, names, ["1"] * len(names)]


def test_what_utf8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", ["caf\udce9"], [])
    assert read(tmp_path / "table.csv") == [["caf\\udce9"]]
    write_json(tmp_path / "record.json", {"path": "caf\udce9"})
    assert json.loads((tmp_path / "record.json").read_bytes()) == {"path": "caf\udce9"}


def test_missing_values_are_empty_fields(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", ["a", "b"], [{"a": 1, "b": None}, {"b": 2.5}])
    assert (tmp_path / "table.csv").read_bytes() == b"a,b\n1,\n,2.5\n"
