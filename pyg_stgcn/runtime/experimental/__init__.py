"""Sparse training: ST-GCN on the CPU only, without learned scores; see the class for its limits."""

from pyg_stgcn.runtime.experimental.sparse_training import SparseTraining

__all__ = ["SparseTraining"]
