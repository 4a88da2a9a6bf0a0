"""The compiled kernels, where the package was built with them."""

from __future__ import annotations

from importlib import import_module

import torch

try:
    import_module("pyg_stgcn.runtime._native")
    # Of kernels that were compiled from older sources some operators are missing: a RuntimeError.
    import_module("pyg_stgcn.runtime.fakes")
    _reason = ""
except (ImportError, OSError, RuntimeError) as error:
    _reason = str(error)


def kernels() -> str | None:
    """The instruction set that the compiled kernels use here, or None where there are none.

    ``"avx512"``, ``"avx2"``, ``"neon"`` or ``"plain"``, the best that the machine has; the
    environment variable ``PYG_STGCN_KERNELS`` chooses another.
    """
    return None if _reason else str(torch.ops.pyg_stgcn.kernels_name())


def why_not() -> str:
    """Why there are no compiled kernels, and what to do about it; empty where there are."""
    if not _reason:
        return ""
    return (
        f"the package's kernels are not compiled for these sources, this Python and torch "
        f"({_reason}); install a C++ compiler and run 'pip install --no-build-isolation "
        "--force-reinstall --no-deps .' "
        "in the package's folder"
    )
