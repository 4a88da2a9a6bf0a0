"""Sparse spatial-temporal graph convolution networks on PyTorch Geometric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyg_stgcn.lazy import import_on_first_use

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


__getattr__ = import_on_first_use(__name__, _HOME_OF)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
