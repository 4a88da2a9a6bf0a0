"""Trained models in the engine, from the files that ``pyg-stgcn export`` writes."""

from __future__ import annotations

import os
from pathlib import Path

from pyg_stgcn.engine import Engine, load
from pyg_stgcn.engine.engine import MODEL_FILE
from pyg_stgcn.errors import InputError


def load_engine(path: str | os.PathLike[str]) -> Engine:
    """Open a model in the engine.

    Args:
        path: A file of ``pyg-stgcn export``, also of ``--format engine``, or the folder that this
            writes.

    Raises:
        InputError: There is no such model, it cannot be read, or the library of the engine is
            missing.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file; name a file of 'pyg-stgcn export'")
    if path.is_dir() or path.suffix.lower() == Path(MODEL_FILE).suffix:
        return load(path)
    # PyTorch is needed to compile, and only for this.
    from pyg_stgcn.recognition.engine_file import engine_bytes
    from pyg_stgcn.recognition.model_file import read_model

    return Engine.from_bytes(engine_bytes(*read_model(path)))
