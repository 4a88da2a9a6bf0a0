"""Trained, masked models compiled into ones that skip the zeros."""

from pyg_stgcn.runtime.compiled_backbone import SparseBackbone
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.experimental.sparse_training import SparseTraining
from pyg_stgcn.runtime.native import kernels
from pyg_stgcn.runtime.portable import PortableModel, save_onnx, save_pt2
from pyg_stgcn.runtime.sparse_model import Recognizer, load, save

__all__ = [
    "PortableModel",
    "Recognizer",
    "SparseBackbone",
    "SparseTraining",
    "compile_sparse",
    "kernels",
    "load",
    "save",
    "save_onnx",
    "save_pt2",
]
