"""Layers: graph convolutions over joints, convolutions over time, learnt graphs, pooling."""

from __future__ import annotations

from pyg_stgcn.nn.adjacency import Adjacency
from pyg_stgcn.nn.conv import STGraphConv
from pyg_stgcn.nn.head import ClassifierHead
from pyg_stgcn.nn.pool import person_pool
from pyg_stgcn.nn.temporal import TemporalConv

__all__ = ["Adjacency", "ClassifierHead", "STGraphConv", "TemporalConv", "person_pool"]
