from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.datasets import NTU60, UTDMHAD
from pyg_stgcn.datasets.download import download_file
from pyg_stgcn.errors import InputError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server:
    """A file server on this machine whose habits a test sets."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.status = 200
        self.supports_ranges = True
        self.breaks_off_after: list[int] = []
        self.claimed_length: int | None = None
        self.asked_ranges: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/file.zip"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked_ranges.append(asked)
        start = 0
        total = self.claimed_length or len(self.content)
        if asked and self.supports_ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            request.send_response(206 if start < total else 416)
            shown = f"{start}-{total - 1}" if start < total else "*"
            request.send_header("Content-Range", f"bytes {shown}/{total}")
        else:
            request.send_response(self.status)
        body = self.content[start:]
        request.send_header("Content-Length", str(max(0, total - start)))
        request.end_headers()
        if self.breaks_off_after:
            body = body[: self.breaks_off_after.pop(0)]
        request.wfile.write(body)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "file.zip"


def files(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if entry.suffix != ".lock")


def test_a_file_arrives_whole(server: Server, path: Path) -> None:
    download_file(server.url, path)
    assert path.read_bytes() == CONTENT
    assert files(path) == ["file.zip"]
    assert server.asked_ranges == [None]


def test_a_file_that_is_there_is_not_fetched(server: Server, path: Path) -> None:
    download_file(server.url, path)
    download_file(server.url, path)
    assert len(server.asked_ranges) == 1


def test_broken_off_transfers_go_on_where_they_ended(server: Server, path: Path) -> None:
    server.breaks_off_after = [131_072, 65_536]
    download_file(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=131072-", "bytes=196608-"]


def test_a_later_call_goes_on(server: Server, path: Path) -> None:
    server.breaks_off_after = [131_072]
    with pytest.raises(InputError, match=r"broke off .*131,072.*try again"):
        download_file(server.url, path, attempts=1)
    assert files(path) == ["file.zip.part"]
    download_file(server.url, path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges[-1] == "bytes=131072-"


def test_a_server_without_ranges_starts_again(server: Server, path: Path) -> None:
    server.supports_ranges = False
    server.breaks_off_after = [100_000]
    download_file(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_complete_part_is_kept(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("file.zip.part").write_bytes(CONTENT)
    download_file(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("file.zip.part").write_bytes(bytes(len(CONTENT) + 5))
    download_file(server.url, path)
    assert path.read_bytes() == CONTENT


def test_a_file_shorter_than_announced_is_no_file(server: Server, path: Path) -> None:
    server.claimed_length = len(CONTENT) + 1000
    with pytest.raises(InputError, match=r"broke off"):
        download_file(server.url, path)
    assert not path.exists()
    assert len(server.asked_ranges) == 4


def test_an_error_of_the_server(server: Server, path: Path) -> None:
    server.status = 404
    with pytest.raises(
        InputError, match=r"file.zip: cannot be downloaded \(the server answers 404"
    ):
        download_file(server.url, path)
    assert files(path) == []


def test_nobody_there(path: Path) -> None:
    with pytest.raises(InputError, match=r"127.0.0.1:9/.*no connection"):
        download_file("http://127.0.0.1:9/file.zip", path)


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written"):
        download_file(server.url, tmp_path / "file" / "file.zip")


def test_the_dataset_fetches_its_archive(
    server: Server, make_skeleton_zip: Callable[..., Path], tmp_path: Path
) -> None:
    server.content = make_skeleton_zip().read_bytes()
    server.breaks_off_after = [500]

    class Local(UTDMHAD):
        url = server.url

    assert len(Local(tmp_path / "root", split="all")) == 4
    assert (tmp_path / "root/raw/Skeleton.zip").read_bytes() == server.content
    assert len(Local(tmp_path / "root", split="all")) == 4
    assert len(server.asked_ranges) == 2


def test_a_page_instead_of_the_archive_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>Please log in</html>"

    class Local(UTDMHAD):
        url = server.url

    with pytest.raises(InputError, match=r"the server sends no zip archive.*--source"):
        Local(tmp_path)
    assert files(tmp_path / "raw" / "any") == []


def test_ntu_fetches_only_annotations(
    server: Server,
    make_pickle: Callable[..., Path],
    make_annotation: Callable[..., dict],
    tmp_path: Path,
) -> None:
    content = {"annotations": [make_annotation("S001C001P001R001A001")]}
    server.content = make_pickle(content).read_bytes()

    class Local(NTU60):
        url = server.url

    with pytest.raises(InputError, match=r"only raw files hold all bodies"):
        Local(tmp_path / "root", split="all", raw_bodies=True)
    assert server.asked_ranges == []
    assert len(Local(tmp_path / "root", split="all")) == 1
    assert (tmp_path / "root/raw/ntu60_3danno.pkl").read_bytes() == server.content


def test_a_page_instead_of_annotations_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>Please log in</html>"

    class Local(NTU60):
        url = server.url

    with pytest.raises(InputError, match=r"the server sends no pickle.*agreement.*--source"):
        Local(tmp_path)
    assert files(tmp_path / "raw" / "any") == []
