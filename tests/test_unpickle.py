from __future__ import annotations

import collections
import datetime
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.unpickle import load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
COORDINATES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.pkl"


def load(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return load_pickle(path)


def by_old_numpy(content: bytes) -> bytes:
    """The same pickle as NumPy 1 would write it."""
    for module in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + module, b"numpy.core." + module
        content = content.replace(b"c" + new + b"\n", b"c" + old + b"\n")
        content = content.replace(bytes([len(new)]) + new, bytes([len(old)]) + old)
    return content


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values(path: Path, protocol: int) -> None:
    value = {
        "none": None,
        "numbers": [1, -(2**70), 1.5, True],
        "texts": ("a", b"\x00\xff", "ü"),
        "sets": [{1, 2}, frozenset({3})],
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
    }
    loaded = load(path, pickle.dumps(value, protocol))
    assert loaded == value
    assert type(loaded["ordered"]) is OrderedDict


@pytest.mark.parametrize("writer", [bytes, by_old_numpy])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        COORDINATES,
        np.asfortranarray(COORDINATES),
        COORDINATES.transpose(1, 0, 2),
        COORDINATES[:, ::2],
        COORDINATES.astype(">f2"),
        COORDINATES.astype(np.int16),
        COORDINATES > 3,
        np.float64(2.5) * np.ones(()),
        np.zeros((0, 3)),
        np.array(["a", "bcd", "ü"]),
        np.array([b"a", b"bcd"]),
    ],
    ids=lambda array: f"{array.dtype}{array.strides}",
)
def test_arrays(path: Path, array: np.ndarray, protocol: int, writer: Any) -> None:
    content = pickle.dumps([array, array], protocol)
    for other in load(path, writer(content)):
        assert other.dtype == pickle.loads(content)[0].dtype
        assert np.array_equal(other, array)


@pytest.mark.parametrize("writer", [bytes, by_old_numpy])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("scalar", [np.int64(-3), np.float16(0.5), np.bool_(True), np.str_("ab")])
def test_scalars(path: Path, scalar: Any, protocol: int, writer: Any) -> None:
    loaded = load(path, writer(pickle.dumps(scalar, protocol)))
    assert loaded == scalar
    assert type(loaded) is type(scalar)


@pytest.mark.parametrize(
    "name",
    ["utd_mhad/utd_mhad_reference", "sbu/sbu", "pyskl/mini_ucf101", "pyskl/k400_entries_sample"],
)
def test_genuine_files_load_as_with_pickle(shared_data: Path, name: str) -> None:
    file = shared_data / "data" / f"{name}.pkl"
    ours, theirs = load_pickle(file), pickle.loads(file.read_bytes())
    assert ours.keys() == theirs.keys()
    assert ours["split"] == theirs["split"]
    for one, other in zip(ours["annotations"], theirs["annotations"], strict=True):
        np.testing.assert_equal(
            {key: np.asarray(value) if isinstance(value, np.ndarray) else value
             for key, value in one.items()},
            other,
        )  # fmt: skip


class Calls:
    """Pickles into a call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_of_the_system_is_refused_and_not_made(path: Path, protocol: int) -> None:
    trace = path.with_name("trace")
    content = pickle.dumps({"annotations": [Calls(os.system, f"touch {trace}")]}, protocol)
    with pytest.raises(InputError, match=r"data.pkl: .*posix\.system.*nothing of it was executed"):
        load(path, content)
    assert not trace.exists()
    pickle.loads(content)
    assert trace.exists(), "the pickle was harmless, the test shows nothing"


def _global(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (pickle.dumps(Calls(eval, "1")), r"builtins\.eval"),
        (pickle.dumps(Calls(getattr, "", "upper")), r"builtins\.getattr"),
        (pickle.dumps(Calls(np.load, "x")), r"numpy\.load"),
        (pickle.dumps(Path("x")), r"pathlib"),
        (pickle.dumps(datetime.date(2000, 1, 1)), r"datetime\.date"),
        (pickle.dumps(collections.Counter("ab")), r"collections\.Counter"),
        (pickle.dumps(np.random.default_rng(0)), r"numpy\.random"),
        (pickle.dumps(np.array([{}], dtype=object)), r"type 'O8'"),
        (pickle.dumps(np.zeros(2, dtype="f4,O")), r"type 'V"),
        (pickle.dumps(np.array(["2000"], dtype="M8[D]")), r"type 'M8'"),
        (pickle.dumps(np.ma.zeros(3)), r"numpy\.ma"),
        (b"cos\nsystem\n.", r"os\.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"os\.system"),
        (b"(ios\nsystem\n.", r"os\.system"),
        (_global("collections", "OrderedDict.__init__.__globals__") + b".", r"collections\.Ord"),
        (_global("_codecs", "encode") + b"(Vab\nVzip\ntR.", r"codec 'zip'"),
        # A data type that owns objects but says that it does not.
        (
            _global("numpy", "dtype")
            + b"(VV8\nI00\nI01\ntR(I3\nV|\nN(Va\nt}Va\n"
            + _global("numpy", "dtype")
            + b"(VO8\nI00\nI01\ntRsI8\nI1\nI0\ntb.",
            r"type 'V8'",
        ),
        (
            _global("numpy", "dtype") + b"(Vf4\nI00\nI01\ntR(I3\nV<\nN(Va\nt}I8\nI1\nI0\ntb.",
            r"structured",
        ),
        # Overwrite the attributes of a function, and of an object.
        (_global("_codecs", "encode") + b"}V__defaults__\nNsb.", r"changes to a function"),
        (_global("collections", "OrderedDict") + b")R}Vx\nI1\nsb.", r"changes to a OrderedDict"),
        # An array of a class of its own, and a view into the memory of another array.
        (
            _global("numpy.core.multiarray", "_reconstruct")
            + _global("builtins", "set")
            + b"\x85R.",
            r"array of a class of its own",
        ),
        (
            _global("numpy.core.numeric", "_frombuffer")
            + b"("
            + pickle.dumps(np.zeros(4), 2)[2:-1]
            + _global("numpy", "dtype")
            + b"(Vf8\nI00\nI01\ntR(I4\ntVC\ntR.",
            r"array of objects",
        ),
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_name(path: Path, content: bytes, named: str) -> None:
    with pytest.raises(InputError, match=rf"data.pkl: the pickle asks for .*{named}"):
        load(path, content)


def _array_of(shape: tuple[int, ...], data: bytes) -> bytes:
    content = pickle.dumps(np.zeros(3, np.float32), 2)
    number = pickle.dumps(shape, 2)[2:-1]
    assert b"K\x03\x85" in content
    content = content.replace(b"K\x03\x85", number, 1)
    return content.replace(
        b"X\x0c\x00\x00\x00" + bytes(12), b"X" + struct.pack("<I", len(data)) + data
    )


@pytest.mark.parametrize(
    "content",
    [
        b"not a pickle",
        pickle.dumps(list(range(1000)))[:-50],
        pickle.dumps({"keypoint": np.zeros(1000)}, 4)[:-500],
        b".",
        b"0.",
        b"\x80\xff.",
        _array_of((10**12,), b"abcd"),
        _array_of((2**32, 2**32), b"abcd"),
        _array_of((-1, -3), b"abcdefghabcd"),
        # A text of 2**62 bytes, and an object remembered in place 2**32 - 1.
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"a.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"a.",
        b"]r\xff\xff\xff\xffa.",
    ],
)
def test_damaged_files_are_one_clear_error(path: Path, content: bytes) -> None:
    with pytest.raises(
        InputError, match=r"data.pkl: (not a (complete )?pickle|the pickle asks for more)"
    ):
        load(path, content)


def test_a_missing_file_is_one_clear_error(path: Path) -> None:
    with pytest.raises(InputError, match=r"data.pkl: cannot be read \(No such file"):
        load_pickle(path)
