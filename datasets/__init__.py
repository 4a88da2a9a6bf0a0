"""Skeleton action datasets, imported as ``pyg_stgcn.datasets``."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.abc import SourceLoader
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_stgcn.datasets.base import SkeletonDataset
    from pyg_stgcn.datasets.clip_loader import ClipLoader, pad_clips
    from pyg_stgcn.datasets.finegym99 import FineGYM99
    from pyg_stgcn.datasets.finegym288 import FineGYM288
    from pyg_stgcn.datasets.hmdb51 import HMDB51
    from pyg_stgcn.datasets.kinetics400_hrnet import Kinetics400HRNet
    from pyg_stgcn.datasets.kinetics400_skeleton import Kinetics400Skeleton
    from pyg_stgcn.datasets.ntu60 import NTU60
    from pyg_stgcn.datasets.ntu60_hrnet import NTU60HRNet
    from pyg_stgcn.datasets.ntu120 import NTU120
    from pyg_stgcn.datasets.ntu120_hrnet import NTU120HRNet
    from pyg_stgcn.datasets.nw_ucla import NWUCLA
    from pyg_stgcn.datasets.sbu import SBU
    from pyg_stgcn.datasets.skeleton_arrays import SkeletonArrays
    from pyg_stgcn.datasets.skeleton_pickle import SkeletonPickle
    from pyg_stgcn.datasets.store.clip_store import Clip, ClipStore
    from pyg_stgcn.datasets.synthetic.synthetic_actions import SyntheticActions
    from pyg_stgcn.datasets.ucf101 import UCF101
    from pyg_stgcn.datasets.utd_mhad import UTDMHAD

    DATASETS: dict[str, type[SkeletonDataset]]

__all__ = [
    "DATASETS",
    "HMDB51",
    "NAMES",
    "NTU60",
    "NTU120",
    "NWUCLA",
    "SBU",
    "UCF101",
    "UTDMHAD",
    "Clip",
    "ClipLoader",
    "ClipStore",
    "FineGYM99",
    "FineGYM288",
    "Kinetics400HRNet",
    "Kinetics400Skeleton",
    "NTU60HRNet",
    "NTU120HRNet",
    "SkeletonArrays",
    "SkeletonDataset",
    "SkeletonPickle",
    "SyntheticActions",
    "describe_datasets",
    "pad_clips",
]

_HOME_OF = {
    "HMDB51": "hmdb51",
    "NTU60": "ntu60",
    "NTU120": "ntu120",
    "NWUCLA": "nw_ucla",
    "SBU": "sbu",
    "UCF101": "ucf101",
    "UTDMHAD": "utd_mhad",
    "Clip": "store.clip_store",
    "ClipLoader": "clip_loader",
    "ClipStore": "store.clip_store",
    "FineGYM99": "finegym99",
    "FineGYM288": "finegym288",
    "Kinetics400HRNet": "kinetics400_hrnet",
    "Kinetics400Skeleton": "kinetics400_skeleton",
    "NTU60HRNet": "ntu60_hrnet",
    "NTU120HRNet": "ntu120_hrnet",
    "SkeletonArrays": "skeleton_arrays",
    "SkeletonDataset": "base",
    "SkeletonPickle": "skeleton_pickle",
    "SyntheticActions": "synthetic.synthetic_actions",
    "pad_clips": "clip_loader",
}
_CLASS_OF = {
    "synthetic": "SyntheticActions",
    "utd-mhad": "UTDMHAD",
    "ntu60": "NTU60",
    "ntu120": "NTU120",
    "ntu60-hrnet": "NTU60HRNet",
    "ntu120-hrnet": "NTU120HRNet",
    "kinetics400-skeleton": "Kinetics400Skeleton",
    "kinetics400-hrnet": "Kinetics400HRNet",
    "finegym99": "FineGYM99",
    "finegym288": "FineGYM288",
    "nw-ucla": "NWUCLA",
    "sbu": "SBU",
    "hmdb51": "HMDB51",
    "ucf101": "UCF101",
}
#: Names of the datasets, known without importing their classes.
NAMES = tuple(_CLASS_OF)


def describe_datasets() -> dict[str, str]:
    """One line about each dataset, by name: the first of its module, which is not imported."""
    found = {}
    for name, kind in _CLASS_OF.items():
        spec = find_spec(f"{__name__}.{_HOME_OF[kind]}")
        assert spec is not None and isinstance(spec.loader, SourceLoader)
        source = ast.parse(spec.loader.get_source(spec.name) or "")
        found[name] = (ast.get_docstring(source) or "").splitlines()[0]
    return found


def __getattr__(name: str) -> Any:
    """Import a dataset on first use (PEP 562)."""
    if name == "DATASETS":
        value: Any = {name: __getattr__(kind) for name, kind in _CLASS_OF.items()}
    elif name in _HOME_OF:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
