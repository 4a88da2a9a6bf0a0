"""The compiled kernels, if the package was built with them."""

from __future__ import annotations

from importlib import import_module

import torch

try:
    import_module("pyg_stgcn.runtime._native")
    # Kernels compiled from older sources lack some operators, which is a RuntimeError.
    import_module("pyg_stgcn.runtime.fakes")
    _reason = ""
except (ImportError, OSError, RuntimeError) as error:
    _reason = str(error)


def kernels() -> str | None:
    """The instruction set of the compiled kernels here, or None without compiled kernels.

    ``"avx512"``, ``"avx2"``, ``"neon"`` or ``"plain"``: the best of the machine, or the one in the
    environment variable ``PYG_STGCN_KERNELS``.
    """
    return None if _reason else str(torch.ops.pyg_stgcn.kernels_name())


def why_not() -> str:
    """The reason for missing kernels and the remedy; empty where they are compiled."""
    if not _reason:
        return ""
    return (
        f"the package's kernels are not compiled for these sources, this Python and torch "
        f"({_reason}); install a C++ compiler and run 'pip install --no-build-isolation "
        "--force-reinstall --no-deps .' "
        "in the package's folder"
    )
