"""Skeletons: joints, bones, partitions and rest poses; the built-in ones are JSON files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyg_stgcn.lazy import import_on_first_use
from pyg_stgcn.names import list_skeletons
from pyg_stgcn.skeletons.skeleton import Skeleton, get_skeleton

if TYPE_CHECKING:
    from pyg_stgcn.skeletons.partitions import SkeletonGraph

__all__ = ["Skeleton", "SkeletonGraph", "get_skeleton", "list_skeletons"]

# Graphs are tensors; skeletons do not need torch.
__getattr__ = import_on_first_use(__name__, {"SkeletonGraph": "pyg_stgcn.skeletons.partitions"})
