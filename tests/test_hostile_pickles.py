"""A short file must not take more than a moment and a little memory, whatever is in it."""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import re
import signal
import struct
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.unpickle import load_pickle

resource = pytest.importorskip("resource")

#: A number in 200 pairs of pairs, each of which is twice the one before: 2**200 numbers in all.
PAIRS = b"K\x01" + b"2\x86" * 200
MEGABYTE = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6
LONG = b"\x8b" + struct.pack("<I", 10**6) + b"\x7f" * 10**6


def array_of_shape(shape: bytes) -> bytes:
    content = pickle.dumps(np.zeros(3, np.float32), 2)
    assert content.count(b"K\x03\x85") == 1
    return content.replace(b"K\x03\x85", shape)


def many_arrays_of_the_same_bytes() -> bytes:
    names = (
        b"(cnumpy\nndarray\nq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\ndtype\n"
        b"(Vf4\nI0\nI1\ntR(K\x03V>\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x03"
    )
    data = b"B" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x04"
    # Of the other byte order, so that NumPy copies them.
    array = b"h\x02h\x01K\x00\x85C\x01b\x87R(K\x01J" + struct.pack("<i", 250_000)
    return names + data + (array + b"\x85h\x03\x89h\x04tb") * 8000 + b"l."


def keys_of_one_hash() -> bytes:
    """Tuples of multiples of 2**61 - 1, all of which have the hash of zero."""
    numbers = [b"\x8a\x09" + (i * (2**61 - 1)).to_bytes(9, "little") for i in range(8)]
    chosen = itertools.islice(itertools.product(numbers, repeat=8), 10_000)
    return b"".join(b"(" + b"".join(key) + b"t" for key in chosen)


def lists_in_many_places() -> bytes:
    names = ["a", "b"] * 5_000
    return pickle.dumps({"split": {f"s{i}": names for i in range(1_000)}, "annotations": []})


HOSTILE = {
    "lists in many places": (lists_in_many_places(), "the same lists again and again"),
    "keys of one hash": (
        b"\x80\x04}(" + keys_of_one_hash().replace(b"t", b"tN") + b"u.",
        "more than 20000 numbers as keys",
    ),
    "members of one hash": (b"\x80\x04(" + keys_of_one_hash() + b"\x91.", "more than 20000"),
    "members of one hash in a call": (
        b"cbuiltins\nset\n((" + keys_of_one_hash() + b"ltR.", "more than 20000"
    ),
    "more and more numbers": (
        b"(" + (b"\x8f(" + b"".join(b"M" + struct.pack("<H", i) for i in range(9999)) + b"\x90")
        * 3 + b"l.",
        "more than 20000",
    ),
    "a nested key": (b"\x80\x04}" + PAIRS + b"K\x01s.", "nested tuple as the key"),
    "nested keys": (b"\x80\x04}(" + PAIRS + b"K\x01u.", "nested tuple as the key"),
    "a nested key of protocol 0": (b"(" + PAIRS + b"K\x01d.", "nested tuple as the key"),
    "a nested member": (b"\x80\x04\x8f(" + PAIRS + b"\x90.", "nested tuple .* in a set"),
    "nested frozen members": (b"\x80\x04(" + PAIRS + b"\x91.", "nested tuple .* in a set"),
    "a call of set": (b"cbuiltins\nset\n(]" + PAIRS + b"atR.", "nested tuple .* in a set"),
    "a call of OrderedDict": (
        b"ccollections\nOrderedDict\n(](" + PAIRS + b"K\x01tatR.",
        "nested tuple as the key",
    ),
    "a member of sets in sets": (b"\x80\x04(" * 2 + b"\x91" * 2 + b".", "nested frozenset"),
    "a deep key": (b"\x80\x04}K\x01" + b"\x85" * 300_000 + b"K\x01s.", "nested tuple as the key"),
    "deep tuples": (b"\x80\x04K\x01" + b"\x85" * 300_000 + b".", "nested more than 32 deep"),
    "deep lists": (b"\x80\x04" + b"]" * 300_000 + b"a" * 299_999 + b".", "more than 32 deep"),
    "deep dicts": (
        b"\x80\x04}" + b"\x8c\x01a}" * 300_000 + b"s" * 300_000 + b".",
        "more than 32 deep",
    ),
    "a list in itself": (b"\x80\x04]\x94h\x00a.", "nested more than 32 deep"),
    "pairs of pairs": (b"\x80\x04" + PAIRS + b".", "nested more than 32 deep"),
    "a data type of pairs": (b"cnumpy\ndtype\n(" + PAIRS + b"tR.", "NumPy data of type"),
    "a codec of pairs": (b"c_codecs\nencode\n(N" + PAIRS + b"tR.", "the codec"),
    "huge lengths": (array_of_shape(b"(" + LONG + b"2" * 200 + b"t"), "integer of 7999999 bits"),
    "large lengths": (
        array_of_shape(b"(\x8a\xff" + b"\x7f" * 255 + b"2" * 30_000 + b"t"),
        "array of shape",
    ),
    "lists as lengths": (array_of_shape(b"(]K\x01aM\xff\xff2222t"), "array of shape"),
    "no data, but a long axis": (
        array_of_shape(b"K\x00J\xff\xff\xff\x7f\x86").replace(
            b"X\x0c\x00\x00\x00" + bytes(12), b"X" + bytes(4)
        ),
        "array of shape",
    ),
    "a huge hexadecimal number": (b"I0x" + b"f" * 10**6 + b"\n.", "integer of 4000000 bits"),
    "the same text encoded again and again": (
        b"(c_codecs\nencode\nq\x01" + MEGABYTE + b"q\x00X\x06\x00\x00\x00latin1q\x02"
        + b"h\x01h\x00h\x02\x86R" * 8000 + b"l.",
        "more than the file can hold",
    ),
    "the same bytes as many arrays": (
        many_arrays_of_the_same_bytes(), "more than the file can hold"
    ),
    "many sets of the same members": (
        b"(cbuiltins\nset\nq\x01(" + b"".join(b"\x8c\x04%04d" % i for i in range(9999))
        + b"lq\x02" + b"h\x01h\x02\x85R" * 10_000 + b"l.",
        "more than the file can hold",
    ),
    "an array of 8 GB": (b"\x80\x05\x96" + struct.pack("<Q", 8 * 2**30) + b"a.", "in a file of"),
    "an object in a place of its own": (
        b"N" + b"".join(b"p%d\n" % (i * (2**61 - 1)) for i in range(1, 40_000)) + b".",
        "place of its own",
    ),
    "long keys": (
        b"\x80\x04}(" + b"".join(b"\x8a\x0c" + (i << 70).to_bytes(12, "little") + b"N"
                                 for i in range(1, 40_000)) + b"u.",
        "a key of 71 bits",
    ),
    "an object of its own class": (b"(ibuiltins\nset\n.", "an object in a format"),
    "changes to a list": (b"]K\x00K\x01s.", "changes to a list"),
}  # fmt: skip


def _load(path: Path, results: Any) -> None:
    limit = 2**30 + int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    started = time.process_time()
    try:
        load_pickle(path)
    except InputError as error:
        results.send((str(error), time.process_time() - started))
    else:
        results.send(("no error", 0.0))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit memory")
@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_a_moment(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_load, args=(path, sender))
    process.start()
    process.join(timeout=30)
    process.kill()
    assert process.exitcode == 0, "it hung, took all memory or overflowed the stack"
    found, seconds = receiver.recv()
    assert found.startswith(f"{path}: ")
    assert len(found) < 500
    assert re.search(message, found), found
    assert seconds < 1 + len(content) / 4e5


def test_ctrl_c_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    path.write_bytes(b"\x80\x04(" + b"N0" * 20_000_000 + b"l.")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        load_pickle(path)
    assert time.monotonic() - started < 3


def test_keys_that_published_files_have(tmp_path: Path) -> None:
    value = {
        "text": 1, 2: [3], 2.5: 4, None: 5, True: 6, b"bytes": 7, (1, "a", 2.5): 8,
        "set": {1, "a", (2, 3)}, np.int64(7): 9, np.str_("b"): 10,
    }  # fmt: skip
    path = tmp_path / "data.pkl"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(value, protocol))
        assert load_pickle(path) == value


class _Python2(pickle._Pickler):
    """Writes what Python 2 wrote: texts and bytes alike, without an encoding."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, value: Any) -> None:
        raw = value if isinstance(value, bytes) else value.encode()
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


@pytest.mark.parametrize("protocol", [1, 2])
def test_pickles_of_python_2(tmp_path: Path, protocol: int) -> None:
    array = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    value = {
        "annotations": [{"frame_dir": "a\u00e9".encode("latin1"), "keypoint": array}],
        "scalar": np.float64(2.5), "numbers": [np.int64(3), 2**40], "set": {"a", "b"},
    }  # fmt: skip
    path = tmp_path / "data.pkl"
    with path.open("wb") as file:
        _Python2(file, protocol).dump(value)
    path.write_bytes(path.read_bytes().replace(b"numpy._core", b"numpy.core"))
    loaded = load_pickle(path)
    (annotation,) = loaded["annotations"]
    assert annotation["frame_dir"] == "a\u00e9"
    assert annotation["keypoint"].dtype == np.float32
    assert np.array_equal(annotation["keypoint"], array)
    assert (loaded["scalar"], loaded["numbers"], loaded["set"]) == (2.5, [3, 2**40], {"a", "b"})
