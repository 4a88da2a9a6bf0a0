"""Array files written row by row."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


class NpyWriter:
    """An ``.npy`` file that grows along its first axis while it is written."""

    def __init__(self, path: Path, dtype: np.dtype[Any], item_shape: tuple[int, ...] = ()) -> None:
        self.dtype = dtype
        self.item_shape = item_shape
        self.rows = 0
        self.crc32 = 0
        self._file: BinaryIO = path.open("wb")
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
        """Complete the file on disk and return what is needed to recognise it."""
        size = self._file.tell()
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"size": size, "rows": self.rows, "crc32": self.crc32}

    def close(self) -> None:
        self._file.close()
