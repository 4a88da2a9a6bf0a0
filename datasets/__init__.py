"""Skeleton action datasets, imported as ``pyg_stgcn.datasets``."""
