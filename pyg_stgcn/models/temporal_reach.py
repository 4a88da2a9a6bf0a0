"""Reach in time: the frames of the input that a frame of the feature maps depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import nn

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit
from pyg_stgcn.nn import CTRMSTCN, MSTCN, STGraphConv, TemporalConv


@dataclass(frozen=True)
class Reach:
    """Frame j of the feature maps depends on the frames from j·stride - before to j·stride + after.

    Args:
        before: Frames of the past.
        after: Frames of the future.
        stride: Frames of the input from one frame of the feature maps to the next.
    """

    before: int
    after: int
    stride: int


def temporal_reach(model: Backbone) -> Reach | None:
    """The reach of a backbone, the sum over its stages.

    Args:
        model (Backbone): A backbone.

    Returns:
        Reach or None: None if the graphs depend on the clip, and so every frame of the feature maps
        on all frames of the clip, as in all backbones but ST-GCN and ST-GCN++.

    Example:
        >>> temporal_reach(create_model("stgcn", 60, "ntu25"))
        Reach(before=76, after=76, stride=4)
    """
    before = after = 0
    stride = 1
    for block in cast(list[Block], list(model.stages)):
        if not _has_fixed_graph(block.gcn):
            return None
        past, future = _reach_of_unit(block.tcn)
        before, after = before + stride * past, after + stride * future
        stride *= _stride_of_unit(block.tcn)
    return Reach(before, after, stride)


def _has_fixed_graph(unit: SpatialUnit) -> bool:
    return isinstance(unit.conv, STGraphConv) and unit.attention is None


def _reach_of_unit(unit: nn.Module) -> tuple[int, int]:
    """Frames before and after, at the frame rate of the input of a temporal convolution."""
    past, future = (0, 0) if isinstance(unit, TemporalConv) else (1, 1)  # A maximum over three.
    for conv in unit.modules():
        if isinstance(conv, nn.Conv2d):
            padding = cast(tuple[int, int], conv.padding)[0]
            past = max(past, padding)
            future = max(future, (conv.kernel_size[0] - 1) * conv.dilation[0] - padding)
    return past, future


def _stride_of_unit(unit: TemporalConv | MSTCN | CTRMSTCN) -> int:
    if isinstance(unit, TemporalConv):
        return unit.frame_step * unit.conv.stride[0]
    return unit.branches.stride
