"""Skeleton action datasets, imported as ``pyg_stgcn.datasets``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_stgcn.datasets.base import SkeletonDataset
    from pyg_stgcn.datasets.ntu60 import NTU60
    from pyg_stgcn.datasets.ntu120 import NTU120
    from pyg_stgcn.datasets.skeleton_pickle import SkeletonPickle
    from pyg_stgcn.datasets.store import Clip, ClipStore
    from pyg_stgcn.datasets.synthetic import SyntheticActions
    from pyg_stgcn.datasets.utd_mhad import UTDMHAD

    DATASETS: dict[str, type[SkeletonDataset]]

__all__ = [
    "DATASETS",
    "NTU60",
    "NTU120",
    "UTDMHAD",
    "Clip",
    "ClipStore",
    "SkeletonDataset",
    "SkeletonPickle",
    "SyntheticActions",
]

_HOME_OF = {
    "NTU60": "ntu60",
    "NTU120": "ntu120",
    "UTDMHAD": "utd_mhad",
    "Clip": "store",
    "ClipStore": "store",
    "SkeletonDataset": "base",
    "SkeletonPickle": "skeleton_pickle",
    "SyntheticActions": "synthetic",
}
_NAMED = ("SyntheticActions", "UTDMHAD", "NTU60", "NTU120")


def __getattr__(name: str) -> Any:
    """Import a dataset on first use (PEP 562)."""
    if name == "DATASETS":
        value: Any = {kind.name: kind for kind in map(__getattr__, _NAMED)}
    elif name in _HOME_OF:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
