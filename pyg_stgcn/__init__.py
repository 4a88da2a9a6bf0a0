"""Sparse spatial-temporal graph convolution networks on PyTorch Geometric."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_stgcn.errors import InputError
    from pyg_stgcn.models import create_model, list_models
    from pyg_stgcn.runtime import compile_sparse
    from pyg_stgcn.skeletons import Skeleton, SkeletonGraph, get_skeleton, list_skeletons
    from pyg_stgcn.sparsity import SparsityController, load_sparse, report, save_sparse, sparsify

__version__ = "0.1.0"

_HOME_OF = {
    "InputError": "pyg_stgcn.errors",
    "Skeleton": "pyg_stgcn.skeletons",
    "SkeletonGraph": "pyg_stgcn.skeletons",
    "SparsityController": "pyg_stgcn.sparsity",
    "compile_sparse": "pyg_stgcn.runtime",
    "create_model": "pyg_stgcn.models",
    "get_skeleton": "pyg_stgcn.skeletons",
    "list_models": "pyg_stgcn.models",
    "list_skeletons": "pyg_stgcn.skeletons",
    "load_sparse": "pyg_stgcn.sparsity",
    "report": "pyg_stgcn.sparsity",
    "save_sparse": "pyg_stgcn.sparsity",
    "sparsify": "pyg_stgcn.sparsity",
}

__all__ = [
    "InputError",
    "Skeleton",
    "SkeletonGraph",
    "SparsityController",
    "__version__",
    "compile_sparse",
    "create_model",
    "get_skeleton",
    "list_models",
    "list_skeletons",
    "load_sparse",
    "report",
    "save_sparse",
    "sparsify",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562), so that importing the package stays cheap."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
