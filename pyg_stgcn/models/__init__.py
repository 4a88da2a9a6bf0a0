"""Backbones, the registry that makes them by name, and assemblies of them."""

from __future__ import annotations

from pyg_stgcn.models.aagcn import AAGCN
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.creation import create_model
from pyg_stgcn.models.ctrgcn import CTRGCN
from pyg_stgcn.models.dgstgcn import DGSTGCN
from pyg_stgcn.models.example_clips import random_clips
from pyg_stgcn.models.graph_products import set_graph_product
from pyg_stgcn.models.pyskl.model_zoo import list_pretrained
from pyg_stgcn.models.pyskl.pyskl_weights import PysklReport, load_pyskl, pyskl_state_dict
from pyg_stgcn.models.registry import list_models, register_model
from pyg_stgcn.models.shrinking import shrink
from pyg_stgcn.models.stgcn import STGCN
from pyg_stgcn.models.stgcnpp import STGCNPP

__all__ = [
    "AAGCN",
    "CTRGCN",
    "DGSTGCN",
    "STGCN",
    "STGCNPP",
    "Assembly",
    "Backbone",
    "PysklReport",
    "create_model",
    "list_models",
    "list_pretrained",
    "load_pyskl",
    "pyskl_state_dict",
    "random_clips",
    "register_model",
    "set_graph_product",
    "shrink",
]
