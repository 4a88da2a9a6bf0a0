"""Skeletons: joints, bones, partitions and rest poses; the built-in ones are JSON files."""

from pyg_stgcn.skeletons.skeleton import Skeleton, SkeletonGraph, get_skeleton, list_skeletons

__all__ = ["Skeleton", "SkeletonGraph", "get_skeleton", "list_skeletons"]
