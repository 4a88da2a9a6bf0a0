"""Array files written row by row, and recognised when they are opened."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray


class NpyWriter:
    """An ``.npy`` file that grows along its first axis while it is written."""

    def __init__(self, path: Path, dtype: np.dtype[Any], item_shape: tuple[int, ...] = ()) -> None:
        self.dtype = dtype
        self.item_shape = item_shape
        self.rows = 0
        self.crc32 = 0
        self._file: BinaryIO = path.open("w+b")
        self._write_header()

    def _write_header(self) -> None:
        # NumPy pads the header so that a longer first axis needs no more room.
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (self.rows, *self.item_shape),
            },
        )

    def append(self, values: NDArray[Any]) -> int:
        """Write the rows of :obj:`values` and return their CRC-32."""
        data = np.ascontiguousarray(values, dtype=self.dtype).reshape(-1, *self.item_shape)
        raw = data.tobytes()
        self._file.write(raw)
        self.rows += len(data)
        self.crc32 = zlib.crc32(raw, self.crc32)
        return zlib.crc32(raw)

    def finish(self) -> dict[str, int]:
        """Complete the file on disk and return its size and checksum."""
        size = self._file.tell()
        self._file.seek(0)
        self._write_header()
        header = self._file.tell()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.seek(0)
        header_crc32 = zlib.crc32(self._file.read(header))
        return {
            "size": size,
            "rows": self.rows,
            "crc32": self.crc32,
            "header": header,
            "header_crc32": header_crc32,
        }

    def close(self) -> None:
        self._file.close()


def open_npy(path: Path, recorded: Mapping[str, int], check_data: bool) -> NDArray[Any]:
    """Map a file that :class:`NpyWriter` has written.

    Args:
        path: The file.
        recorded: Result of :meth:`NpyWriter.finish` for it.
        check_data: Whether to read all of it and compare its checksum.

    Raises:
        ValueError: If its header, or the checked part of its data, has changed.
        OSError: If it cannot be read.
    """
    # Before NumPy reads it: type, shape and order of a damaged header may be valid but wrong.
    with path.open("rb") as file:
        if zlib.crc32(file.read(recorded["header"])) != recorded["header_crc32"]:
            raise ValueError("its header is not the one recorded")
    # An empty array cannot be mapped.
    mmap_mode: Literal["r"] | None = "r" if recorded["size"] > recorded["header"] else None
    # A view of the base class: NumPy's memmap adds cost to every access, not safety.
    array = np.asarray(np.load(path, mmap_mode=mmap_mode, allow_pickle=False))
    if check_data and zlib.crc32(array.tobytes()) != recorded["crc32"]:
        raise ValueError("its checksum is not the one recorded")
    return array
