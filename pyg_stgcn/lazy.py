"""Public names of packages that are imported on first use, so that importing a package is cheap."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def import_on_first_use(package: str, home_of: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package (PEP 562) that imports some of its names on first use.

    Args:
        package: Name of the package.
        home_of: The module of each name.

    Example:
        >>> __getattr__ = import_on_first_use(__name__, {"Run": "pyg_stgcn.runs.folder"})
    """

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
