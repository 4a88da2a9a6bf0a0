"""Published facts about datasets, kept as text files."""

from __future__ import annotations

from importlib import resources


def read_facts(name: str) -> list[str]:
    """The lines of the file :obj:`name` in the folder ``facts``."""
    folder = resources.files("pyg_stgcn.datasets") / "facts"
    return (folder / name).read_text(encoding="utf-8").splitlines()
