"""From a trained model to one that skips its zeros."""

from __future__ import annotations

from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.runtime.backbone import SparseBackbone
from pyg_stgcn.runtime.fold import copy_plain
from pyg_stgcn.runtime.layers import num_blocks
from pyg_stgcn.runtime.native import kernels, why_not
