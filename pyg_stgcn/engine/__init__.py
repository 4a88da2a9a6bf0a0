"""Skeleton clips and streams to class probabilities, with NumPy and one small library."""

from pyg_stgcn.engine.engine import Engine, load
from pyg_stgcn.engine.engine_stream import EngineStream

__all__ = ["Engine", "EngineStream", "load"]
