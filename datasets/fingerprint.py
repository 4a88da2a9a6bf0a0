"""Recognise whether a store still fits the file and the transform that it was built from."""

from __future__ import annotations

import hashlib
import re
import types
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch_geometric.transforms import Compose


def file_fingerprint(path: Path) -> dict[str, Any]:
    """Size, modification time and SHA-256 of a file."""
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": _sha256(path)}


def same_file(path: Path, fingerprint: Mapping[str, Any]) -> bool:
    """Whether the file has the contents that were recorded; a mere copy of it has."""
    stat = path.stat()
    if stat.st_size != fingerprint["size"]:
        return False
    if stat.st_mtime_ns == fingerprint["mtime_ns"]:
        return True
    return _sha256(path) == fingerprint["sha256"]


def describe_transform(transform: Callable[..., Any] | None) -> str | None:
    """Describe a transform so that two that compute different things are told apart.

    The usual ``repr`` of a transform hides its options, and that of a function is its address.
    """
    if transform is None:
        return None
    if isinstance(transform, Compose):
        return " > ".join(str(describe_transform(part)) for part in transform.transforms)
    if isinstance(transform, types.FunctionType):
        code = transform.__code__
        cells = [cell.cell_contents for cell in transform.__closure__ or ()]
        text = _without_addresses(repr((code.co_consts, cells, transform.__defaults__)))
        checksum = zlib.crc32(code.co_code + text.encode())
        return f"{transform.__module__}.{transform.__qualname__}#{checksum:08x}"
    options = getattr(transform, "__dict__", None)
    if not options:
        return _without_addresses(repr(transform))
    text = ", ".join(f"{key}={value!r}" for key, value in sorted(options.items()))
    return _without_addresses(f"{type(transform).__module__}.{type(transform).__name__}({text})")


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
