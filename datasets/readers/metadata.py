"""Published metadata of datasets, kept as text files."""

from __future__ import annotations

from importlib import resources


def read_metadata(name: str) -> list[str]:
    """The lines of the file :obj:`name` in the folder ``metadata``."""
    folder = resources.files("pyg_stgcn.datasets") / "metadata"
    return (folder / name).read_text(encoding="utf-8").splitlines()
