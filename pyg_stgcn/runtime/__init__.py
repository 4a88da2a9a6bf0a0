"""Compiles trained, masked models into ones that skip the zeros, and exports them."""

from pyg_stgcn.runtime.compiled_backbone import SparseBackbone
from pyg_stgcn.runtime.compiled_parts import CompiledPart, compile_report
from pyg_stgcn.runtime.compiler import compile_sparse
from pyg_stgcn.runtime.export_files import save_onnx, save_pt2
from pyg_stgcn.runtime.native import kernels
from pyg_stgcn.runtime.semi_structured import SemiStructured, semi_structured

__all__ = [
    "CompiledPart",
    "SemiStructured",
    "SparseBackbone",
    "compile_report",
    "compile_sparse",
    "kernels",
    "save_onnx",
    "save_pt2",
    "semi_structured",
]
