"""The folder for files that are fetched or computed once and can be replaced at any time."""

from __future__ import annotations

from pathlib import Path

import torch_geometric


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
    return Path(torch_geometric.get_home_dir()).joinpath("pyg_stgcn", *parts)
