"""Graph convolutions over joints: PyG :class:`MessagePassing` layers."""

from __future__ import annotations

from pyg_stgcn.nn.conv.st_graph_conv import STGraphConv, graph_product, st_graph_conv

__all__ = ["STGraphConv", "graph_product", "st_graph_conv"]
