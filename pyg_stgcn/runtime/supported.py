"""The backbones that the kernels can run."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations
from torch_geometric.nn.aggr import SumAggregation

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, Projection, SpatialUnit
from pyg_stgcn.nn import DGMSTCN, Adjacency, PersonNorm, STCAttention
from pyg_stgcn.nn.feature_norm import FeatureNorm
from pyg_stgcn.nn.frame_conv import FrameConv
from pyg_stgcn.nn.multi_scale import TemporalBranches
from pyg_stgcn.runtime.lanes import LANES, MAX_BLOCKS, num_blocks
from pyg_stgcn.runtime.spatial_program import compile_graph_conv
from pyg_stgcn.runtime.temporal_program import compile_temporal

_NORMS: set[type] = {nn.BatchNorm1d, FeatureNorm, PersonNorm}
#: Known classes of modules by the end of their names; of others, see _LAYERS.
_BY_PLACE: dict[str, set[type]] = {
    "norm": _NORMS,
    "gcn": {SpatialUnit},
    "tcn": set(compile_temporal.registry),
    "gcn.conv": set(compile_graph_conv.registry),
}
_LAYERS: set[type] = {
    *_BY_PLACE["tcn"],
    *_NORMS,
    Adjacency,
    Projection,
    STCAttention,
    SumAggregation,
    TemporalBranches,
    nn.Conv1d,
    FrameConv,
    nn.Dropout,
    nn.Identity,
    nn.Linear,
    nn.ModuleList,
}
#: Methods that a compiled backbone replaces by its own.
_METHODS = ("forward", "forward_features", "forward_head", "normalize")


def num_lanes(model: Backbone) -> int:
    """Lanes of a backbone: its joints; in DG-STGCN the mean over the joints is one more."""
    has_mean = any(isinstance(module, DGMSTCN) for module in model.modules())
    return model.skeleton.num_joints + has_mean


def unsupported(model: Backbone) -> str:
    """Names the first part of a backbone that cannot be compiled; empty if all can.

    A class derived from a known one is unknown, since its ``forward`` may differ.

    Args:
        model: The backbone, with masks or without.
    """
    kind = type(model).__name__
    if model.is_shrunken:
        return f"{kind} is shrunken; compile the model before shrink(), the kernels skip its zeros"
    for method in _METHODS:
        if getattr(type(model), method) is not getattr(Backbone, method):
            return f"{kind}.{method} is not the one of Backbone"
    for name, module in [
        *model.stages.named_modules(prefix="stages"),
        ("data_norm", model.data_norm),
    ]:
        layer = type_before_parametrizations(module)
        if ".parametrizations" not in name and layer not in _known(name):
            return f"{kind}.{name} is of the unknown class {layer.__name__}"
    if num_blocks(num_lanes(model)) > MAX_BLOCKS:
        return (
            f"skeleton {model.skeleton.name!r} has {model.skeleton.num_joints} joints, more than "
            f"the {MAX_BLOCKS * LANES} lanes of the kernels"
        )
    return ""


def _known(name: str) -> set[type]:
    """The classes that the module of this name may have."""
    if name.count(".") == 1:  # stages.3
        return {Block}
    return next((known for place, known in _BY_PLACE.items() if name.endswith(place)), _LAYERS)
