"""Fetch a published file, and go on where an earlier attempt broke off."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from filelock import FileLock
from urllib3.exceptions import HTTPError, ProtocolError

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import file_sha256
from pyg_stgcn.progress import transfer
from pyg_stgcn.text import printable

logger = logging.getLogger(__name__)

_BLOCK = 1 << 16
_CONNECT_TIMEOUT = 10.0
#: Seconds before a server that has gone away in the middle of a file is asked again; then twice as
#: many.
_FIRST_PAUSE = 1.0
#: Bytes that have to arrive while a download is patient.
_LEAST = 1 << 16


@dataclass(frozen=True)
class RemoteFile:
    """A file that others publish, and how to recognise it.

    Args:
        urls: Its addresses, tried in this order.
        kind: What it is, for an error.
        is_kind: Whether a file is of that kind; a server may send a page instead.
        size: Its length in bytes, if known.
        sha256: Its SHA-256 in hexadecimal digits, if known.
        max_size: The most bytes that it can have.
    """

    urls: tuple[str, ...]
    kind: str
    is_kind: Callable[[Path], bool]
    size: int | None = None
    sha256: str | None = None
    max_size: int | None = None


class _AddressError(Exception):
    """An address does not give the file."""


class _BrokenOffError(_AddressError):
    """The connection ended before the file did."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the download broke off ({why}); try again")


class _TooLargeError(_AddressError):
    """More comes than the file can have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the server sends more than {limit:,} bytes")


class _Part:
    """The beginning of a file, and of which version at which address it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tag = path.with_name(f"{path.name}.tag")

    def start(self, url: str, version: str) -> None:
        """Begin again.

        Raises:
            InputError: If there is something that was not begun here: browsers call theirs so too.
        """
        if not self._tag.exists() and self.path.exists() and self.path.stat().st_size:
            raise InputError(
                f"{self.path}: is the beginning of a download by another program; let that finish, "
                "or move it away"
            )
        self.path.write_bytes(b"")
        self._tag.write_text(f"{url}\n{version}", encoding="utf-8")

    def version(self, url: str) -> str:
        """The version it is of; empty if it cannot be continued from this address."""
        if not (self.path.exists() and self._tag.exists()):
            return ""
        address, _, version = self._tag.read_text(encoding="utf-8", errors="replace").partition(
            "\n"
        )
        return version if address == url else ""

    def finish(self, path: Path) -> None:
        """Give the complete file its name."""
        self.path.replace(path)
        self._tag.unlink()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


def download_file(file: RemoteFile, path: Path, attempts: int = 4, patience: float = 60.0) -> None:
    """Download :obj:`file` to :obj:`path`, unless there is a file already.

    It appears at :obj:`path` when it is complete and has been checked. Until then it grows at
    ``<path>.part``, and a later call continues there if the server still has the same version of
    the file and can send the rest of it.

    Args:
        file: What to fetch.
        path: Where to put it.
        attempts: How often to connect to an address before giving it up. One that cannot be reached
            at all is given up at once; one that can no longer be reached is waited for, a few
            seconds in all.
        patience: Seconds without an answer, or with less than 64 KiB of one, after which a
            connection counts as broken.

    Raises:
        InputError: If no address gives the file, or it cannot be written. Names all addresses.
    """
    part = _Part(path.with_name(f"{path.name}.part"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if not path.exists():
                _fetch_from_any(file, part, attempts, patience)
                part.finish(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another "
            "folder"
        ) from error


def _fetch_from_any(file: RemoteFile, part: _Part, attempts: int, patience: float) -> None:
    failures = []
    for url in file.urls:
        try:
            _fetch_with_retries(file, url, part, attempts, patience)
            _check(file, part)
            return
        except requests.RequestException as error:
            failures.append(f"{url}: cannot be downloaded ({_reason(error)})")
        except _AddressError as error:
            failures.append(f"{url}: {error}")
        logger.info("%s", failures[-1])
    raise InputError("; ".join(failures))


def _fetch_with_retries(
    file: RemoteFile, url: str, part: _Part, attempts: int, patience: float
) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _fetch(file, url, part, patience)
            return
        except (_BrokenOffError, requests.ConnectionError, requests.Timeout) as error:
            broke_off = isinstance(error, _BrokenOffError)
            # Only an address that has sent something is asked a second time.
            if attempt == attempts or (attempt == 1 and not broke_off):
                raise
            logger.info("%s: attempt %d of %d: %s", url, attempt, attempts, error)
            if not broke_off:
                time.sleep(_FIRST_PAUSE * 2 ** (attempt - 2))


def _fetch(file: RemoteFile, url: str, part: _Part, patience: float) -> None:
    version = part.version(url)
    have = part.path.stat().st_size if version else 0
    # A compressed transfer would have another length than the file.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    timeout = (_CONNECT_TIMEOUT, patience)
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        start, total = _answered_range(response)
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if have == total:
                return
            part.remove()
            raise _BrokenOffError(f"{have:,} bytes were there of a file that has {total}")
        response.raise_for_status()
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise _AddressError(f"the server leads to {response.url}, which anyone can change")
        if start not in (0, have) or (start and _version(response) not in ("", version)):
            part.remove()
            raise _BrokenOffError("the server went on with something else")
        if not start:
            part.start(url, _version(response))
        total = min((size for size in (total, file.size) if size is not None), default=None)
        if total is not None:
            _check_room(url, part, total - start)
        try:
            _receive(response, part.path, total, file.max_size, patience)
        except _TooLargeError:
            part.remove()
            raise


def _answered_range(response: requests.Response) -> tuple[int, int | None]:
    """First byte of the answer, and length of the whole file if the server says so."""
    match = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "")
    )
    if match is None:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    return int(match[1] or 0), int(match[2]) if match[2].isdigit() else None


def _version(response: requests.Response) -> str:
    """The server's name of this version of the file, for If-Range (RFC 9110, section 13.1.5);
    empty if it does not say, or not in a format that can be sent back."""
    etag = response.headers.get("ETag", "")
    if re.fullmatch(r'"[!-~]*"', etag):
        return etag
    modified = response.headers.get("Last-Modified", "")
    return modified if re.fullmatch(r"[!-~][ -~]*", modified) else ""


def _check_room(url: str, part: _Part, missing: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise InputError(
            f"{url}: {missing:,} bytes are to be fetched, but {part.path.parent} has room for "
            f"{free:,}; make room or choose another folder"
        )


def _receive(
    response: requests.Response,
    path: Path,
    total: int | None,
    max_size: int | None,
    patience: float,
) -> None:
    limit = math.inf if max_size is None else max_size
    if total is not None and total > limit:
        raise _TooLargeError(int(limit))
    with path.open("ab") as file, transfer(printable(path.stem), total, file.tell()) as advance:
        have = file.tell()
        since, had = time.monotonic(), have
        while total is None or have < total:
            try:
                # Not iter_content: that waits for a whole block, from a slow server for hours.
                block = response.raw.read1(_BLOCK)
            except HTTPError as error:
                raise _BrokenOffError(_describe(have, total)) from error
            if not block:
                break
            file.write(block)
            have += len(block)
            if have > limit:
                raise _TooLargeError(int(limit))
            advance(len(block))
            if time.monotonic() - since > patience:
                if have - had < _LEAST:
                    raise _BrokenOffError(f"{_describe(have, total)}, too slow")
                since, had = time.monotonic(), have
        if total is not None and have < total:
            raise _BrokenOffError(_describe(have, total))
        # Else a power cut can leave the new name without content.
        file.flush()
        os.fsync(file.fileno())


def _describe(have: int, total: int | None) -> str:
    return f"{have:,} bytes" if total is None else f"{have:,} of {total:,} bytes"


def _check(file: RemoteFile, part: _Part) -> None:
    wrong = _find_wrong(file, part.path)
    if wrong is not None:
        part.remove()
        raise _AddressError(wrong)


def _find_wrong(file: RemoteFile, path: Path) -> str | None:
    """Why a complete download is not the file, if it is not."""
    if not file.is_kind(path):
        return f"the server sends no {file.kind}"
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"the server sends {size:,} bytes, the published {file.kind} has {file.size:,}"
    if file.sha256 is None or (found := file_sha256(path)) == file.sha256:
        return None
    return (
        f"the server sends a {file.kind} with the SHA-256 {found}, the published one has "
        f"{file.sha256}; nothing was kept; it was damaged on the way or is another version"
    )


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, requests.ConnectionError):
        if isinstance(error.args[0], ProtocolError):
            return "the server closes the connection or does not speak HTTP"
        return "no connection to the server"
    return str(error)
