"""Class probabilities of a run, in a file that is enough to fuse the run."""

from __future__ import annotations

import sys
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pyg_stgcn.checked import brief
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically

#: Kind of the values and number of dimensions of each array.
_ARRAYS = {"names": ("U", 1), "labels": ("i", 1), "probabilities": ("f", 2), "num_views": ("i", 0)}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A file of a few kilobytes must not be able to fill the memory. Compression shrinks probabilities
# and names to about a tenth.
_FREE_BYTES = 64 << 20
_MAX_RATIO = 100
#: Errors that damaged bytes can raise in an archive or in the header of an array.
_DAMAGED = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class Predictions:
    """Class probabilities that a model gives to some clips.

    Args:
        names: Names of the clips ``[N]``.
        labels: Their classes ``[N]``.
        probabilities: Class probabilities ``[N, num_classes]``.
        num_views: Views of each clip that the probabilities are averaged over.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    num_views: int

    def save(self, path: Path) -> None:
        """Write a compressed NumPy file.

        Raises:
            OSError: The file cannot be written.
        """

        def write(file: Path) -> None:
            # Given a path, savez would append ".npz" to a name without it.
            with file.open("wb") as stream:
                np.savez_compressed(stream, **vars(self))

        write_atomically(path, write)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read a file that :meth:`save` wrote.

        Sizes and types are checked before anything is decompressed.

        Raises:
            InputError: The file is missing or damaged, or does not hold class probabilities.
        """
        again = f"write it with 'pyg-stgcn evaluate {path.parent}'"
        if not path.exists():
            raise InputError(f"{path.parent}: no {path.name}; {again}")
        if not path.is_file():
            raise InputError(f"{path}: is not a file; remove it, then {again}")
        try:
            arrays = _read_arrays(path)
            found = cls(num_views=int(arrays.pop("num_views")), **arrays)
            found._check()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({brief(error)}); {again}") from None
        except _DAMAGED as error:
            raise InputError(f"{path}: damaged ({brief(error)}); {again}") from None
        return found

    def _check(self) -> None:
        num_clips, num_classes = self.probabilities.shape
        if not len(self.names) == len(self.labels) == num_clips > 0:
            raise ValueError(
                f"{len(self.names)} names and {len(self.labels)} labels do not match "
                f"{num_clips} rows of probabilities"
            )
        if self.labels.min() < 0 or self.labels.max() >= num_classes:
            raise ValueError(
                f"labels from {self.labels.min()} to {self.labels.max()} are not all among "
                f"{num_classes} classes"
            )
        if self.num_views < 1:
            raise ValueError(f"{self.num_views} views of each clip are none")
        _check_letters(self.names)
        sums = self.probabilities.sum(axis=1, dtype=np.float64)
        # NaN is not less than anything.
        if not (self.probabilities.min() >= 0 and np.abs(sums - 1).max() < 0.01):
            raise ValueError("probabilities are not zero or more with a sum of one for every clip")


def _check_letters(names: NDArray[np.str_]) -> None:
    """Refuse codes that are not Unicode characters; NumPy does not check them."""
    codes = names.astype(names.dtype.newbyteorder("=")).view(np.uint32)
    if ((codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise ValueError("names with invalid characters")


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    allowed = _FREE_BYTES + _MAX_RATIO * path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if sorted(members) != sorted(_ARRAYS) or len(archive.infolist()) != len(_ARRAYS):
            raise ValueError(f"holds {sorted(members)[:5]}, not {sorted(_ARRAYS)}")
        if any(info.compress_type not in _METHODS for info in members.values()):
            raise ValueError("is compressed in another way than NumPy does")
        declared = sum(info.file_size for info in members.values())
        if declared > allowed:
            raise ValueError(f"would take {declared} bytes of memory, more than {allowed}")
        arrays = {}
        for name, info in members.items():
            with archive.open(info) as stream:
                arrays[name] = _read_array(stream, name, info.file_size)
    return arrays


def _read_array(stream: IO[bytes], name: str, num_bytes: int) -> NDArray[Any]:
    version = npy.read_magic(stream)
    if version != (1, 0):  # As NumPy writes headers of plain types.
        raise ValueError(f"{name}: the header is of version {version}")
    shape, by_columns, dtype = npy.read_array_header_1_0(stream)
    kind, num_dims = _ARRAYS[name]
    if dtype.kind != kind or len(shape) != num_dims or (by_columns and num_dims == 1):
        raise ValueError(f"{name} is an array of {dtype} with {len(shape)} dimensions")
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize + stream.tell() != num_bytes:
        raise ValueError(f"{name} of shape {shape} does not fill its {num_bytes} bytes")
    order: Literal["C", "F"] = "F" if by_columns else "C"
    return np.frombuffer(stream.read(), dtype).reshape(shape, order=order).copy()
