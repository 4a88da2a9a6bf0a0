"""Fetch a file over HTTP, going on where an earlier attempt broke off."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import requests
from filelock import FileLock

from pyg_stgcn.errors import InputError

logger = logging.getLogger(__name__)

_BLOCK = 1 << 16
_TIMEOUT = (10.0, 60.0)


class _BrokenOffError(Exception):
    """The connection ended before the file did."""


def download_file(url: str, path: Path, attempts: int = 4) -> None:
    """Download :obj:`url` to :obj:`path`.

    The file appears at :obj:`path` when it is complete. Until then it grows at ``<path>.part``, and
    a later call continues there if the server can.

    Args:
        url: Address of the file.
        path: Where to put it.
        attempts: How often to connect before giving up.

    Raises:
        InputError: If the file cannot be fetched or written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            if not path.exists():
                _fetch_with_retries(url, part, attempts)
                part.replace(path)
    except requests.RequestException as error:
        raise InputError(f"{url}: cannot be downloaded ({_reason(error)})") from error
    except _BrokenOffError as error:
        raise InputError(
            f"{url}: the download broke off ({error}); try again to continue it"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room or choose another "
            "folder"
        ) from error


def download_checked(url: str, path: Path, kind: str, is_kind: Callable[[Path], bool]) -> None:
    """Download as :func:`download_file` does, and keep only what was asked for.

    Args:
        url: Address of the file.
        path: Where to put it.
        kind: What it should be, for the error.
        is_kind: Whether a file is that; a server may send a page instead.

    Raises:
        InputError: If the file cannot be fetched or written, or is something else.
    """
    download_file(url, path)
    if not is_kind(path):
        path.unlink()
        raise InputError(f"{url}: the server sends no {kind}")


def _fetch_with_retries(url: str, part: Path, attempts: int) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _fetch(url, part)
            return
        except _BrokenOffError as error:
            logger.info("%s: broke off (%s), attempt %d of %d", url, error, attempt, attempts)
            if attempt == attempts:
                raise


def _fetch(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    # A compressed transfer would have another length than the file.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        start, total = _answered_range(response)
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            if have == total:
                return
            part.unlink(missing_ok=True)
            raise _BrokenOffError(f"the part that was there is not of this file of {total} bytes")
        response.raise_for_status()
        if start not in (0, have):
            raise _BrokenOffError(f"the server went on at byte {start} instead of {have}")
        _receive(response, part, start, total)
    size = part.stat().st_size
    if total is not None and size != total:
        raise _BrokenOffError(f"{size:,} of {total:,} bytes")


def _answered_range(response: requests.Response) -> tuple[int, int | None]:
    """First byte of the answer, and length of the whole file if the server says so."""
    match = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "")
    )
    if match is None:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    return int(match[1] or 0), int(match[2]) if match[2].isdigit() else None


def _receive(response: requests.Response, part: Path, start: int, total: int | None) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn(part.stem), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        part.open("ab" if start else "wb") as file,
        Progress(
            *columns, console=console, disable=not console.is_terminal, transient=True
        ) as progress,
    ):
        task = progress.add_task("", total=total, completed=start)
        try:
            for block in response.iter_content(_BLOCK):
                file.write(block)
                progress.advance(task, len(block))
        except requests.RequestException as error:
            raise _BrokenOffError(f"after {file.tell():,} bytes") from error


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server; is there a network?"
    return str(error)
