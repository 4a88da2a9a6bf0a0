"""Layers: graph convolutions over joints, convolutions over time, learnt graphs."""

from __future__ import annotations

from pyg_stgcn.nn.adjacency import Adjacency, build_matrices, edge_strength
from pyg_stgcn.nn.attention import STCAttention
from pyg_stgcn.nn.conv import AAGraphConv, CTRGraphConv, DGGraphConv, STGraphConv
from pyg_stgcn.nn.head import ClassifierHead
from pyg_stgcn.nn.input_norm import PersonNorm
from pyg_stgcn.nn.multi_scale import CTRMSTCN, DGMSTCN, MSTCN
from pyg_stgcn.nn.sync_norm import synchronize_norms
from pyg_stgcn.nn.temporal import TemporalConv

__all__ = [
    "CTRMSTCN",
    "DGMSTCN",
    "MSTCN",
    "AAGraphConv",
    "Adjacency",
    "CTRGraphConv",
    "ClassifierHead",
    "DGGraphConv",
    "PersonNorm",
    "STCAttention",
    "STGraphConv",
    "TemporalConv",
    "build_matrices",
    "edge_strength",
    "synchronize_norms",
]
