"""Graph convolutions over joints: PyG :class:`MessagePassing` layers."""

from __future__ import annotations

from pyg_stgcn.nn.conv.aa_graph_conv import AAGraphConv
from pyg_stgcn.nn.conv.ctr_graph_conv import CTRGraphConv
from pyg_stgcn.nn.conv.dg_graph_conv import DGGraphConv
from pyg_stgcn.nn.conv.st_graph_conv import STGraphConv, graph_product, st_graph_conv

__all__ = [
    "AAGraphConv",
    "CTRGraphConv",
    "DGGraphConv",
    "STGraphConv",
    "graph_product",
    "st_graph_conv",
]
