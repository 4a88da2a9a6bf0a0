from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.download import RemoteFile, download_file
from pyg_stgcn.errors import InputError

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
#: The class in ``conftest.py``, which cannot be imported.
Server = Any
NOBODY = "http://127.0.0.1:9/file.zip"


@pytest.fixture
def server(file_server: Server) -> Server:
    file_server.content = CONTENT
    return file_server


@pytest.fixture
def mirror(start_file_server: Callable[[], Server]) -> Server:
    mirror = start_file_server()
    mirror.content = CONTENT
    return mirror


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "file.zip"


def any_file(*servers: Server | str) -> RemoteFile:
    """A file of which nothing is known but its addresses."""
    urls = tuple(server if isinstance(server, str) else server.url for server in servers)
    return RemoteFile(urls, "file", Path.is_file)


def known_file(*servers: Server | str) -> RemoteFile:
    return replace(any_file(*servers), size=len(CONTENT), sha256=SHA256)


def files(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if entry.suffix != ".lock")


def test_a_file_arrives_whole(server: Server, path: Path) -> None:
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert files(path) == ["file.zip"]
    assert server.asked_ranges == [None]


def test_a_file_that_is_there_is_not_fetched(server: Server, path: Path) -> None:
    download_file(any_file(server), path)
    download_file(any_file(server), path)
    assert len(server.asked_ranges) == 1


def test_broken_off_transfers_go_on_where_they_ended(server: Server, path: Path) -> None:
    server.breaks_off_after = [131_072, 65_536]
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=131072-", "bytes=196608-"]


def test_a_server_that_goes_away_for_a_moment_is_waited_for(server: Server, path: Path) -> None:
    server.breaks_off_after, server.goes_away_for = [131_072], 0.3
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=131072-"]


def test_a_server_that_does_not_come_back_is_given_up(server: Server, path: Path) -> None:
    server.breaks_off_after, server.goes_away_for = [131_072], 3600
    with pytest.raises(InputError, match=r"no connection"):
        download_file(any_file(server), path, attempts=2)
    assert path.with_name("file.zip.part").stat().st_size == 131_072


def test_a_later_call_goes_on(server: Server, path: Path) -> None:
    server.breaks_off_after = [131_072]
    with pytest.raises(InputError, match=r"broke off \(131,072 of 300,000 bytes\); try again"):
        download_file(any_file(server), path, attempts=1)
    assert files(path) == ["file.zip.part", "file.zip.part.tag"]
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert files(path) == ["file.zip"]
    assert server.asked_ranges[-1] == "bytes=131072-"


def test_the_part_of_another_program_is_left_alone(server: Server, path: Path) -> None:
    part = path.with_name("file.zip.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(b"of a browser")
    with pytest.raises(InputError, match=rf"^{part}: is the beginning of a download by another"):
        download_file(any_file(server), path)
    assert part.read_bytes() == b"of a browser"
    part.write_bytes(b"")
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server: Server, path: Path) -> None:
    server.supports_ranges = False
    server.breaks_off_after = [100_000]
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT


def test_a_complete_part_is_kept(server: Server, path: Path) -> None:
    server.claimed_length = len(CONTENT) + 1000
    with pytest.raises(InputError, match=r"broke off"):
        download_file(any_file(server), path, attempts=1)
    server.claimed_length = None
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=300000-"]


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, path: Path) -> None:
    server.content = OTHER + OTHER
    server.breaks_off_after = [400_000]
    with pytest.raises(InputError, match=r"broke off"):
        download_file(any_file(server), path, attempts=1)
    server.content = CONTENT
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=400000-", None]


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_in_between_starts_again(
    server: Server, path: Path, heeds_if_range: bool
) -> None:
    server.content, server.breaks_off_after = OTHER, [131_072]
    with pytest.raises(InputError, match=r"broke off"):
        download_file(any_file(server), path, attempts=1)
    server.content, server.headers["ETag"] = CONTENT, '"second"'
    server.heeds_if_range = heeds_if_range
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "headers",
    [{}, {"ETag": 'W/"weak"'}, {"ETag": "bare"}, {"ETag": '"\xe9"'}, {"ETag": '"a\r\n b"'}],
)
def test_without_a_version_nothing_is_continued(
    server: Server, path: Path, headers: dict[str, str]
) -> None:
    server.headers, server.breaks_off_after = headers, [131_072]
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges == [None, None]


def test_the_time_of_the_last_change_is_a_version(server: Server, path: Path) -> None:
    server.headers = {"Last-Modified": "Sat, 01 Aug 2015 12:00:00 GMT"}
    server.breaks_off_after, server.heeds_if_range = [131_072], False
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=131072-"]


def test_a_part_from_elsewhere_is_not_continued(server: Server, mirror: Server, path: Path) -> None:
    server.content, server.breaks_off_after = OTHER, [131_072]
    download_file(any_file(server, mirror), path, attempts=1)
    assert path.read_bytes() == CONTENT
    assert (server.asked_ranges, mirror.asked_ranges) == ([None], [None])


def test_a_file_shorter_than_announced_is_no_file(server: Server, path: Path) -> None:
    server.claimed_length = len(CONTENT) + 1000
    with pytest.raises(InputError, match=r"broke off \(300,000 of 301,000 bytes\)"):
        download_file(any_file(server), path)
    assert not path.exists()
    assert len(server.asked_ranges) == 4


@pytest.mark.parametrize("claimed", [len(CONTENT) + 1000, 2**60])
def test_what_comes_counts_more_than_what_is_announced(
    server: Server, path: Path, claimed: int
) -> None:
    server.claimed_length = claimed
    download_file(known_file(server), path)
    assert path.read_bytes() == CONTENT


def test_a_file_of_no_announced_length(server: Server, path: Path) -> None:
    server.says_length = False
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT


def test_a_stream_without_end_is_cut(server: Server, path: Path) -> None:
    server.says_length = False
    server.content = bytes(50_000_000)
    with pytest.raises(InputError, match=r"bytes, the published file has 300,000|SHA-256"):
        download_file(known_file(server), path)
    assert files(path) == []


def test_a_download_has_to_fit(server: Server, path: Path) -> None:
    server.claimed_length = 2**60
    with pytest.raises(InputError, match=r"file.zip: 1,152,.* bytes are to be fetched, but .*raw"):
        download_file(any_file(server), path)
    assert not path.exists()


def test_another_file_of_the_same_length(server: Server, path: Path) -> None:
    server.content = OTHER
    found = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(InputError, match=rf"SHA-256 {found}, the published one has {SHA256}; "):
        download_file(known_file(server), path)
    assert files(path) == []


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"1"])
def test_a_file_of_another_length(server: Server, path: Path, content: bytes) -> None:
    server.content = content
    with pytest.raises(InputError, match=r"the published (file|one) has"):
        download_file(known_file(server), path)
    assert files(path) == []


def test_a_file_is_checked_before_it_gets_its_name(server: Server, path: Path) -> None:
    seen = []

    def is_kind(part: Path) -> bool:
        seen.append((part.read_bytes() == CONTENT, path.exists()))
        return True

    download_file(replace(any_file(server), is_kind=is_kind), path)
    assert seen == [(True, False)]


def test_a_page_instead_of_the_file(server: Server, path: Path) -> None:
    server.content = b"<html>Please log in</html>"
    file = replace(known_file(server), kind="zip archive", is_kind=zipfile.is_zipfile)
    for wanted in (file, replace(file, size=None, sha256=None)):
        with pytest.raises(InputError, match=r"file.zip: the server sends no zip archive"):
            download_file(wanted, path)
        assert files(path) == []


def test_an_error_of_the_server(server: Server, path: Path) -> None:
    server.status = 404
    with pytest.raises(
        InputError, match=r"file.zip: cannot be downloaded \(the server answers 404"
    ):
        download_file(any_file(server), path)
    assert files(path) == []


def test_nobody_there(path: Path) -> None:
    with pytest.raises(InputError, match=r"127.0.0.1:9/.*no connection"):
        download_file(any_file(NOBODY), path)


@pytest.mark.parametrize("answer", [b"", b"\x00\x01garbage\r\n\r\n"])
def test_a_server_of_something_else(server: Server, path: Path, answer: bytes) -> None:
    server.raw_answer = answer
    with pytest.raises(InputError, match=r"closes the connection or does not speak HTTP"):
        download_file(any_file(server), path)


def test_a_server_without_an_answer(server: Server, path: Path) -> None:
    server.waits = 0.6
    with pytest.raises(InputError, match=r"the server does not answer"):
        download_file(any_file(server), path, patience=0.2)


def test_a_server_from_which_hardly_anything_comes(server: Server, path: Path) -> None:
    server.trickles = True
    with pytest.raises(InputError, match=r"broke off \([\d,]+ of 300,000 bytes, too slow\)"):
        download_file(any_file(server), path, attempts=2, patience=0.3)
    assert len(server.asked_ranges) == 2
    server.trickles = False
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT


def test_redirects_are_followed(server: Server, mirror: Server, path: Path) -> None:
    server.redirects = {"/file.zip": mirror.url}
    mirror.breaks_off_after = [131_072]
    download_file(any_file(server), path)
    assert path.read_bytes() == CONTENT
    assert mirror.asked_ranges == [None, "bytes=131072-"]


def test_redirects_in_a_circle(server: Server, path: Path) -> None:
    server.redirects = {"/file.zip": server.url}
    with pytest.raises(InputError, match=r"cannot be downloaded \(Exceeded 30 redirects"):
        download_file(any_file(server), path)


def test_addresses_are_tried_in_order(server: Server, mirror: Server, path: Path) -> None:
    download_file(any_file(server, mirror), path)
    assert mirror.asked_ranges == []
    path.unlink()
    server.content = OTHER
    download_file(known_file(NOBODY, server, mirror), path)
    assert path.read_bytes() == CONTENT
    path.unlink()
    server.status, mirror.content = 403, OTHER
    with pytest.raises(InputError) as caught:
        download_file(known_file(NOBODY, server, mirror), path)
    for part in (f"{NOBODY}: cannot", f"{server.url}: cannot", "403", f"{mirror.url}: the server"):
        assert part in str(caught.value)
    assert files(path) == []


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written"):
        download_file(any_file(server), tmp_path / "file" / "file.zip")


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_has_a_largest_size(server: Server, path: Path, says_length: bool) -> None:
    server.says_length = says_length
    with pytest.raises(InputError, match=r"the server sends more than 299,999 bytes"):
        download_file(replace(any_file(server), max_size=len(CONTENT) - 1), path)
    assert files(path) == []
    download_file(replace(any_file(server), max_size=len(CONTENT)), path)
    assert path.read_bytes() == CONTENT
