"""Archives and annotations that datasets fetch, from a server on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn.datasets import NTU60, UTDMHAD
from pyg_stgcn.errors import InputError

#: The class in ``conftest.py``, which cannot be imported.
Server = Any


@pytest.fixture
def server(file_server: Server) -> Server:
    return file_server


def files(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix != ".lock")


def utd_mhad(server: Server, **changes: None) -> type[UTDMHAD]:
    class Local(UTDMHAD):
        archive = replace(UTDMHAD.archive, urls=(server.url,), **changes)

    return Local


def ntu60(server: Server) -> type[NTU60]:
    class Local(NTU60):
        url = server.url

    return Local


def test_the_dataset_fetches_its_archive(
    server: Server, make_skeleton_zip: Callable[..., Path], tmp_path: Path
) -> None:
    server.content = make_skeleton_zip().read_bytes()
    server.breaks_off_after = [500]
    local = utd_mhad(server, size=None, sha256=None)
    assert len(local(tmp_path / "root", split="all")) == 4
    assert (tmp_path / "root/raw/Skeleton.zip").read_bytes() == server.content
    assert len(local(tmp_path / "root", split="all")) == 4
    assert len(server.asked_ranges) == 2


def test_the_published_archive_and_no_other(
    server: Server, shared_data: Path, tmp_path: Path
) -> None:
    content = (shared_data / "data/utd_mhad/Skeleton.zip").read_bytes()
    server.content = content[:-1] + b"\x01"
    local = utd_mhad(server)
    with pytest.raises(InputError, match=r"SHA-256 .*, the published one has .*--source FILE"):
        local(tmp_path)
    assert files(tmp_path / "raw") == []
    server.content = content
    assert len(local(tmp_path, split="all")) == 861


def test_a_page_instead_of_the_archive_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>Please log in</html>"
    with pytest.raises(InputError, match=r"the server sends no zip archive.*--source"):
        utd_mhad(server)(tmp_path)
    assert files(tmp_path / "raw") == []


def test_ntu_fetches_only_annotations(
    server: Server,
    make_pickle: Callable[..., Path],
    make_annotation: Callable[..., dict],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = {"annotations": [make_annotation("S001C001P001R001A001")]}
    server.content = make_pickle(content).read_bytes()
    local = ntu60(server)
    with pytest.raises(InputError, match=r"only raw files hold all bodies"):
        local(tmp_path / "root", split="all", raw_bodies=True)
    assert server.asked_ranges == []
    caplog.clear()
    assert len(local(tmp_path / "root", split="all")) == 1
    target = tmp_path / "root/raw/ntu60_3danno.pkl"
    assert target.read_bytes() == server.content
    # Said before anything is asked for.
    notice = caplog.records[0]
    assert notice.levelno == logging.WARNING
    for part in ("signing an agreement", NTU60.page, server.url, str(target)):
        assert part in notice.getMessage()


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", b"\x80\x04cut off", b""])
def test_what_is_no_pickle_is_not_kept(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    with pytest.raises(InputError, match=r"the server sends no pickle.*agreement.*--source"):
        ntu60(server)(tmp_path)
    assert files(tmp_path / "raw") == []
