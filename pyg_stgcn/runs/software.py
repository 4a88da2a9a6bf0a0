"""Versions of the software that a result depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_RECORDED = (
    "pyg-stgcn",
    "torch",
    "torch-geometric",
    "torch-sparse",
    "torch-scatter",
    "pytorch-lightning",
    "torchmetrics",
    "numpy",
)


def software_versions(*packages: str) -> dict[str, str | None]:
    """Versions of Python, the platform and the packages; ``None`` for packages not installed.

    Args:
        packages: Packages besides those of every result.
    """
    versions: dict[str, str | None] = {"python": platform.python_version()}
    versions["platform"] = platform.platform()
    for package in (*_RECORDED, *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions
