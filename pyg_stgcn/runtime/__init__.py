"""Trained, masked models compiled into ones that skip the zeros."""

from pyg_stgcn.runtime.backbone import SparseBackbone
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.files import Recognizer, load, save
from pyg_stgcn.runtime.native import kernels

__all__ = ["Recognizer", "SparseBackbone", "compile_sparse", "kernels", "load", "save"]
