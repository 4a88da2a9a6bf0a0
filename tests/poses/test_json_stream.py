"""Large JSON files, read value by value."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import json_stream
from pyg_stgcn.poses.json_stream import JsonStream, read_values

PATH = Path("file.json")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def stream(data: bytes) -> JsonStream:
    return JsonStream(PATH, io.BytesIO(data))


@settings(deadline=None, max_examples=25)
@given(
    values=st.lists(VALUES, max_size=6),
    chunk=st.integers(1, 9),
    indent=st.sampled_from([None, 1]),
    bom=st.booleans(),
    ascii_only=st.booleans(),
)
def test_values_and_their_places(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[object],
    chunk: int,
    indent: int | None,
    bom: bool,
    ascii_only: bool,
) -> None:
    """Blocks end anywhere: within a number, a letter of several bytes, a word."""
    text = json.dumps({"a": 1, "b": values, "c": []}, indent=indent, ensure_ascii=ascii_only)
    data = b"\xef\xbb\xbf" * bom + text.encode()
    path = tmp_path_factory.mktemp("stream") / "a.json"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(json_stream, "CHUNK", chunk)
        reader = JsonStream(path, file)
        found, places = [], []
        for key in reader.members():
            if key != "b":
                reader.value()
                continue
            for _ in reader.items():
                start = reader.offset
                found.append(reader.value())
                places.append((start, reader.offset - start))
        reader.end()
    assert found == values
    assert reader.offset == len(data)
    assert list(read_values(path, iter(places))) == values


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "near byte 0 .the file ends too early"),
        (b"[1, 2", "near byte 5 .the file ends too early"),
        (b"[1 2]", "near byte 3 .']' is expected"),
        (b"[1, 2]]", "near byte 6 .the file goes on"),
        (b"[1, ", "near byte 4 .Expecting value"),
        (b'["\xff"]', "near byte 0 .not UTF-8"),
        (b"[" + b"[" * 200_000, "near byte 1 .*recursion"),
        (b"[" + b"9" * 10_000 + b"]", "near byte 1 .*digits"),
    ],
)
def test_damaged_files(data: bytes, error: str) -> None:
    def read() -> None:
        reader = stream(data)
        for _ in reader.items():
            reader.value()
        reader.end()

    with pytest.raises(InputError, match=rf"^file\.json: damaged {error}"):
        read()


def test_a_value_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, however large the file is."""
    monkeypatch.setattr(json_stream, "MAX_VALUE", 1000)
    monkeypatch.setattr(json_stream, "CHUNK", 100)
    file = io.BytesIO(b"[[" + b"0," * 100_000)
    reader = JsonStream(PATH, file)
    with pytest.raises(InputError, match=r"damaged near byte 1 .*too large"):
        for _ in reader.items():
            reader.value()
    assert file.tell() < 5000
