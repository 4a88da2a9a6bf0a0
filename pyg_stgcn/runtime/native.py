"""The compiled kernels, where the package was built with them."""

from __future__ import annotations

from importlib import import_module

import torch

try:
    import_module("pyg_stgcn.runtime._native")
    _reason = ""
except (ImportError, OSError) as error:
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
        f"the package's kernels are not compiled for this Python and torch ({_reason}); install a "
        "C++ compiler and run 'pip install --no-build-isolation --force-reinstall --no-deps .' "
        "in the package's folder"
    )


if not _reason:
    import_module("pyg_stgcn.runtime.fakes")
