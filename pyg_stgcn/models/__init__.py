"""Backbones and the registry that makes them by name."""

from __future__ import annotations

from pyg_stgcn.models.registry import create_model, list_models, register_model
from pyg_stgcn.models.stgcn import STGCN

__all__ = ["STGCN", "create_model", "list_models", "register_model"]
