"""Checkpoints that ask for more time or memory than they deserve."""

from __future__ import annotations

import io
import itertools
import pickle
import resource
import time
import zipfile
from pathlib import Path

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, load_pyskl, pyskl_state_dict

HEAD = b"\x80\x02"


def shared_tuples(depth: int) -> bytes:
    """A tuple that holds another one twice, and so on; as a key of a dict its hash is asked for."""
    made = b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(depth))
    return HEAD + b"}" + made + b"K\x01s."


def call(function: bytes, arguments: bytes) -> bytes:
    return HEAD + b"c" + function + b"\n" + arguments + b"R."


def keys_of_one_hash(count: int) -> bytes:
    """Tuples of multiples of 2**61 - 1, all of which have the hash of zero."""
    numbers = [b"\x8a\x09" + (i * (2**61 - 1)).to_bytes(9, "little") for i in range(8)]
    chosen = itertools.islice(itertools.product(numbers, repeat=8), count)
    return b"".join(b"(" + b"".join(key) + b"tN" for key in chosen)


PICKLES = {
    "deep": (HEAD + b"}K\x01" + b"\x85" * 300_000 + b"K\x01s.", "nested more than 100 levels deep"),
    "one hash": (HEAD + b"}(" + keys_of_one_hash(3_000) + b"u.", "more than 20000 numbers as keys"),
    "one hash in a call": (
        call(b"builtins\nset", b"((" + keys_of_one_hash(3_000) + b"lt"),
        "makes something of 30004 parts",
    ),
    "hash": (shared_tuples(40), "again and again"),
    "codec": (call(b"_codecs\nencode", b"X\x01\0\0\0aX\x03\0\0\0hex\x86"), "encodes a text"),
    "bytes": (call(b"builtins\nbytearray", b"J\xff\xff\xff\x7f\x85"), "makes an array of bytes"),
    "stack": (HEAD + b"\x86.", "more than it has made"),
    "memo": (HEAD + b"h\x07.", "damaged"),
    "mark": (HEAD + b"t.", "damaged"),
    "code": (
        call(b"os\nsystem", b"X\x04\0\0\0true\x85"),
        r"damaged \(Trying to load .* os\.system",
    ),
    "nothing": (b"", "damaged"),
}


def archive(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr("archive/data.pkl", content)
        members.writestr("archive/version", "3\n")
    return file.getvalue()


def before_archives(content: bytes) -> bytes:
    metadata = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = (0x1950A86A20F9469CFC6C, 1001, metadata)
    return b"".join(pickle.dumps(part, 2) for part in parts) + content + pickle.dumps([], 2)


@pytest.mark.parametrize("write", [archive, before_archives])
@pytest.mark.parametrize("name", PICKLES)
def test_pickles_out_of_proportion(tmp_path: Path, name: str, write: object) -> None:
    content, message = PICKLES[name]
    path = tmp_path / "a.pth"
    path.write_bytes(write(content))
    started = time.process_time()
    with pytest.raises(InputError, match=rf"^{path}: .*{message}") as error:
        load_pyskl(create_model("stgcn", 3, "coco17", base_channels=2), path)
    assert time.process_time() - started < 5
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("in_archive", [True, False])
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(1).expand(3 * 10**9), "a tensor of 12000000000 bytes with 4 in the file"),
        (torch.ones(2, 1).expand(2, 10**9), "a tensor of 8000000000 bytes with 8 in the file"),
        (torch.empty(10**12, device="meta"), "not plain numbers"),
        (torch.eye(3).to_sparse(), "not plain numbers"),
    ],
)
def test_tensors_that_are_not_in_the_file(
    tmp_path: Path, tensor: torch.Tensor, message: str, in_archive: bool
) -> None:
    path = tmp_path / "a.pth"
    content = {"state_dict": {"backbone.gcn.0.tcn.conv.weight": tensor}}
    torch.save(content, path, _use_new_zipfile_serialization=in_archive)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=f"a.pth: holds more than tensors.*{message}"):
        load_pyskl(create_model("stgcn", 3, "coco17", base_channels=2), path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_one_tensor_under_many_names(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    numbers = torch.ones(1000, dtype=torch.half)
    torch.save({f"x{i}": numbers for i in range(100)}, path)
    with pytest.raises(InputError, match="tensors of 200000 bytes with 2000 in the file"):
        load_pyskl(create_model("stgcn", 3, "coco17", base_channels=2), path)
    torch.save({"x": numbers, "y": numbers}, path)
    with pytest.raises(InputError, match=rf"^{path}: do not fit.*unexpected 2: x, y"):
        load_pyskl(create_model("stgcn", 3, "coco17", base_channels=2), path)


def test_members_that_were_packed(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"x": torch.zeros(2**22)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert path.stat().st_size < 2**20
    with pytest.raises(InputError, match=r"bytes that expand to 167\d+"):
        load_pyskl(create_model("stgcn", 3, "coco17", base_channels=2), path)


def test_numbers_of_another_kind_are_not_taken_for_weights() -> None:
    model = create_model("stgcn", 3, "coco17", base_channels=2)
    written = pyskl_state_dict(model)
    name = "backbone.gcn.0.tcn.conv.weight"
    written[name] = written[name].to(torch.int64)
    with pytest.raises(InputError, match=r"gcn\.0\.tcn\.conv\.weight of torch\.int64 instead of"):
        load_pyskl(model, written)


def test_names_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    model = create_model("stgcn", 3, "coco17", base_channels=2)
    for name in (3, "a\nb", "x" * 1000):
        torch.save({name: torch.zeros(2)}, path)
        with pytest.raises(InputError, match=rf"^{path}: .*is no name of a tensor") as error:
            load_pyskl(model, path)
        assert len(str(error.value)) < 400
    torch.save({"state_dict": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=rf"^{path}: state_dict is a Tensor; give"):
        load_pyskl(model, path)
    with pytest.raises(InputError, match="is not a file"):
        load_pyskl(model, tmp_path)
