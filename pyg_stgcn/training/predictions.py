"""Class probabilities of a finished run, kept so that runs can be fused without their models."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically


@dataclass(frozen=True)
class Predictions:
    """What a model says of some clips.

    Args:
        names: Names of the clips ``[N]``.
        labels: Their classes ``[N]``.
        probabilities: Class probabilities ``[N, num_classes]``.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def save(self, path: Path) -> None:
        def write(file: Path) -> None:
            # savez would give a name without this ending another one.
            with file.open("wb") as stream:
                np.savez_compressed(stream, **vars(self))

        write_atomically(path, write)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read a file that :meth:`save` wrote.

        Raises:
            InputError: The file is missing or damaged.
        """
        again = f"write it with 'pyg-stgcn evaluate {path.parent}'"
        try:
            with np.load(path, allow_pickle=False) as file:
                found = cls(**{name: file[name] for name in file.files})
        except FileNotFoundError:
            raise InputError(f"{path.parent}: no {path.name}; {again}") from None
        except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: damaged ({error}); {again}") from None
        shape = found.probabilities.shape
        if len(shape) != 2 or not len(found.names) == len(found.labels) == shape[0]:
            raise InputError(f"{path}: names, labels and probabilities do not match; {again}")
        if not np.isfinite(found.probabilities).all():
            raise InputError(f"{path}: some probabilities are not numbers; {again}")
        return found
