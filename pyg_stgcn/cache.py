"""The folder for files that are fetched or computed once and can be replaced at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """The package's folder in PyG's home folder, or a folder in it; it need not exist.

    PyG's home folder is ``~/.cache/pyg``, unless the environment variable ``PYG_HOME`` or
    :func:`torch_geometric.set_home_dir` names another one.

    Args:
        parts: Names of folders in it, from the outer to the inner one.

    Example:
        >>> cache_folder("models").name
        'models'
    """
    return _home_dir().joinpath("pyg_stgcn", *parts)


def _home_dir() -> Path:
    # PyG takes seconds to import. Where it has not been imported, nobody has named another folder.
    pyg = sys.modules.get("torch_geometric")
    if pyg is not None:
        return Path(pyg.get_home_dir())
    return Path(os.environ.get("PYG_HOME", "~/.cache/pyg")).expanduser()
