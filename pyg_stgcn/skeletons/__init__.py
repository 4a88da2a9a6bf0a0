"""Skeletons: joints, bones, partitions and rest poses; the built-in ones are JSON files."""

from pyg_stgcn.names import list_skeletons
from pyg_stgcn.skeletons.skeleton import Skeleton, SkeletonGraph, get_skeleton

__all__ = ["Skeleton", "SkeletonGraph", "get_skeleton", "list_skeletons"]
