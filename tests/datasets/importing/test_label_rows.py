from __future__ import annotations

from pathlib import Path

import pytest

from pyg_stgcn.datasets.importing.label_rows import LabelRow, Labels, Span, read_labels
from pyg_stgcn.errors import InputError


def read(tmp_path: Path, text: str) -> Labels:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read_labels(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_line_says_what_a_recording_or_a_part_of_it_is(tmp_path: Path, separator: str) -> None:
    table = (
        "\ufeffName,label,split,start,end,first_frame,last_frame,person,camera\n"
        "a/x.json,wave,train,,,,,,7\n"
        '"b",,val,1.5,2.25,,,,\n'
        "c,walk slowly,,,,3,9,12,\n"
    )
    assert read(tmp_path, table.replace(",", separator)).rows == [
        LabelRow(2, "a/x.json", "wave", "train", None, None),
        LabelRow(3, "b", None, "val", Span(1.5, 2.25, True), None),
        LabelRow(4, "c", "walk slowly", None, Span(3, 9, False), 12),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no column 'name'"),
        ("name\nx\n", "names no column 'label'"),
        ("name,label\n", "no lines below the first"),
        ("name,label,splt\nx,a,train\n", "'splt' is not known.*'split'"),
        ("name,label,start\nx,a,1\n", "start and end belong together"),
        ("name,label,label\nx,a,b\n", "two columns 'label'"),
        ("name,label\nx\n", "line 2 has more or fewer fields"),
        ("name,label\nx,a,b\n", "line 2 has more or fewer fields"),
        ("name,label\n,a\n", "line 2 has no name"),
        ("name,label,start,end\nx,a,1,\n", "line 2 has end ''; write seconds"),
        ("name,label,start,end\nx,a,nan,1\n", "start 'nan'"),
        ("name,label,start,end\nx,a,5,1\n", "ends before it starts"),
        ("name,label,first_frame,last_frame\nx,a,1.5,3\n", "'1.5'; write a frame number"),
        ("name,label,person\nx,a,left\n", "person 'left'"),
        ('name,label\n"x,a\n', "no CSV file"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("x", True),
        ("x.json", True),
        ("A01/x", True),
        ("A01\\x.json", True),
        ("/data/train/A01/x.json", True),
        ("./A01/x", True),
        ("A02/x", False),
        ("y", False),
        ("x.npy", False),
    ],
)
def test_names_are_found_with_and_without_folders_and_ending(name: str, is_found: bool) -> None:
    row = LabelRow(2, name, "wave", None, None, None)
    found = Labels(Path("labels.csv"), [row]).of(("train", "A01", "x"), "x.json")
    assert found == ([row] if is_found else [])
