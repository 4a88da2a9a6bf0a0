"""Trained, masked models compiled into ones that skip the zeros."""

from pyg_stgcn.runtime.backbone import SparseBackbone
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.native import kernels

__all__ = ["SparseBackbone", "compile_sparse", "kernels"]
