"""Published weights by name, from a server on this machine."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Backbone, create_model, list_pretrained, pyskl_state_dict
from pyg_stgcn.models.pyskl import model_zoo
from pyg_stgcn.models.pyskl.model_zoo import find_published, published_models

#: The class in ``conftest.py``, which cannot be imported.
Server = Any
NAME = "pyskl/ntu60_xsub_3dkp/j"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Backbone, bytes]:
    """A model, and the file that PYSKL would publish of it."""
    file = tmp_path_factory.mktemp("zoo") / "j.pth"
    model = create_model("stgcnpp", 60, "ntu25").eval()
    torch.save({"meta": {"epoch": 16}, "state_dict": pyskl_state_dict(model)}, file)
    return model, file.read_bytes()


@pytest.fixture
def server(
    file_server: Server,
    published: tuple[Backbone, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Server]:
    """PYSKL's server, and an empty home folder of PyG."""
    monkeypatch.setenv("PYG_HOME", str(tmp_path / "home"))
    root = file_server.url.rpartition("/")[0]
    monkeypatch.setattr(model_zoo, "SERVER", f"{root}/ckpt")
    published_models.cache_clear()
    file_server.content = published[1]
    yield file_server
    published_models.cache_clear()


def kept_files(tmp_path: Path) -> list[str]:
    found = (tmp_path / "home").rglob("*")
    return [file.name for file in found if file.is_file() and file.suffix != ".lock"]


def logits(model: Backbone) -> torch.Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        return model.eval()(torch.randn(2 * model.skeleton.num_joints, 4, model.in_channels))


def test_the_addresses_are_those_of_pyskl() -> None:
    """By the tables in the README files of PYSKL's configs."""
    start = "download.openmmlab.com/mmaction/pyskl/ckpt"
    for name, url in {
        "stgcn/ntu120_xset_hrnet/bm": "stgcn/stgcn_pyskl_ntu120_xset_hrnet/bm.pth",
        "stgcnpp/ntu60_xsub_3dkp/j": "stgcnpp/stgcnpp_ntu60_xsub_3dkp/j.pth",
        "aagcn/ntu60_xview_hrnet/jm": "aagcn/aagcn_pyskl_ntu60_xview_hrnet/jm.pth",
        "ctrgcn/ntu120_xsub_3dkp/b": "ctrgcn/ctrgcn_pyskl_ntu120_xsub_3dkp/b.pth",
        "dgstgcn/ntu60_xview_3dkp/j": "dgstgcn/ntu60_xview_3dkp/j.pth",
        "strong_aug/ntu120_xset_3dkp/j": "strong_aug/ntu120_xset_3dkp/j.pth",
    }.items():
        assert find_published(f"pyskl/{name}").url == f"https://{start}/{url}"
    assert len(list_pretrained()) == len(set(list_pretrained())) == 4 * 8 * 4 + 2 * 4 * 4 + 1
    assert len(list_pretrained("dgstgcn")) == 16
    assert all(entry.url.startswith("https://") for entry in published_models().values())


def test_weights_come_with_their_model(
    server: Server, published: tuple[Backbone, bytes], tmp_path: Path
) -> None:
    server.breaks_off_after = [100_000, 50_000]
    model = create_model("stgcnpp", pretrained=NAME)
    assert (model.num_classes, model.skeleton.name) == (60, "ntu25")
    assert torch.equal(logits(model), logits(published[0]))
    assert server.asked_ranges == [None, "bytes=100000-", "bytes=150000-"]
    other = create_model("stgcnpp", 7, "ntu25", pretrained="pyskl:stgcnpp/ntu60_xsub_3dkp/j")
    assert len(server.asked_ranges) == 3  # Kept by the first call.
    assert kept_files(tmp_path) == ["j.pth"]
    assert logits(other).shape == (1, 7)
    ours, theirs = other.state_dict(), published[0].state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours if not key.startswith("head."))


def test_a_genuine_file(
    server: Server, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shared_data / "golden" / "published" / "hagrid.pth"
    entry = find_published("pyskl/hagrid")
    assert entry.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    local = replace(entry, url=server.url)
    monkeypatch.setattr(model_zoo, "published_models", lambda: {entry.name: local})
    server.content = file.read_bytes()
    model = create_model("stgcnpp", pretrained="pyskl/hagrid")
    assert torch.equal(logits(model), logits(create_model("stgcnpp", pretrained=file)))
    shutil.rmtree(tmp_path / "home")
    damaged = bytearray(server.content)
    damaged[500_000] ^= 1
    server.content = bytes(damaged)
    with pytest.raises(InputError, match=r"pyskl/hagrid: .*sends (no|a) checkpoint .*the file by"):
        create_model("stgcnpp", pretrained="pyskl/hagrid")
    assert kept_files(tmp_path) == []


def test_other_content_is_not_kept(
    server: Server, published: tuple[Backbone, bytes], tmp_path: Path
) -> None:
    torch.save(pyskl_state_dict(create_model("stgcnpp", 5, "ntu25")), tmp_path / "other.pth")
    for content in (
        b"<html>Please log in</html>",
        published[1][:-1000] + bytes(1000),
        (tmp_path / "other.pth").read_bytes(),
    ):
        server.content = content
        with pytest.raises(
            InputError,
            match=r"^pyskl/stgcnpp/ntu60_xsub_3dkp/j: http.*j\.pth: the server sends no checkpoint "
            r"of stgcnpp with 60 classes on ntu25. Or fetch the file .* put it to .*/j\.pth$",
        ):
            create_model("stgcnpp", pretrained=NAME)
        assert kept_files(tmp_path) == []


def test_no_file_or_no_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 404
    with pytest.raises(InputError, match=r"j\.pth: .*the server answers 404"):
        create_model("stgcnpp", pretrained=NAME)
    server.status, server.claimed_length = 200, 10**9
    with pytest.raises(InputError, match=r"the server sends more than 100,000,000 bytes"):
        create_model("stgcnpp", pretrained=NAME)
    monkeypatch.setattr(model_zoo, "SERVER", "http://127.0.0.1:9")
    published_models.cache_clear()
    with pytest.raises(InputError, match=r"127.0.0.1:9/.*no connection to the server"):
        create_model("stgcnpp", pretrained=NAME)
    assert kept_files(tmp_path) == []


def test_a_file_in_a_folder_of_that_name(
    published: tuple[Backbone, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyskl").mkdir()
    Path("pyskl/j.pth").write_bytes(published[1])
    model = create_model("stgcnpp", pretrained="pyskl/j.pth")
    assert torch.equal(logits(model), logits(published[0]))


def test_names_that_are_none() -> None:
    with pytest.raises(InputError, match=r"ntu60_xsub_3dkp/k: .* no such weights \(did you mean"):
        create_model("stgcnpp", pretrained="pyskl/ntu60_xsub_3dkp/k")
    with pytest.raises(InputError, match=r"holds weights of ctrgcn, not of stgcn"):
        create_model("stgcn", pretrained="pyskl/ctrgcn/ntu60_xsub_3dkp/j")
    with pytest.raises(InputError, match=r"skeleton: give it"):
        create_model("stgcn", 60)
