"""ST-GCN.

From "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition"
(https://arxiv.org/abs/1801.07455), as in "PYSKL: Towards Good Practices for Skeleton Action
Recognition" (https://arxiv.org/abs/2205.09443): no dropout, data normalised per joint and
channel, nine-frame temporal convolutions. The learnable ``random`` graph over all joint pairs is
that of "Are Spatial-Temporal Graph Convolution Networks for Human Action Recognition
Over-Parameterized?" (CVPR 2025).
"""

from __future__ import annotations

from typing import Any

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit, Stage
from pyg_stgcn.models.registry import register_model
from pyg_stgcn.nn import STGraphConv, TemporalConv
from pyg_stgcn.skeletons import Skeleton


@register_model
class STGCN(Backbone):
    r"""Spatial temporal graph convolutional network.

    A fixed graph with learnt importances of its edges, or a graph with learnt weights;
    convolutions over nine frames.

    Args:
        num_classes (int): Number of classes.
        skeleton (Skeleton or str): The skeleton of the data, or the name of a built-in one.
        adaptive (str, optional): The learnt part of the graph: an :obj:`"importance"` for every
            edge of a fixed graph, or all weights, with the graph as :obj:`"init"` (default:
            :obj:`"init"` for :obj:`graph="random"`, else :obj:`"importance"`).
        **options: Options of every :class:`~pyg_stgcn.models.Backbone`.
    """

    graph = "stgcn_spatial"
    all_pairs = False

    def __init__(
        self,
        num_classes: int,
        skeleton: Skeleton | str,
        *,
        adaptive: str | None = None,
        **options: Any,
    ) -> None:
        self.adaptive = adaptive
        super().__init__(num_classes, skeleton, **options)

    def make_block(self, stage: Stage) -> Block:
        """Makes one stage."""
        adaptive = self.adaptive or ("init" if self.graph == "random" else "importance")
        channels = stage.out_channels
        conv = STGraphConv(stage.in_channels, channels, stage.graph.num_partitions)
        gcn = SpatialUnit(conv, stage.graph, adaptive)
        tcn = TemporalConv(channels, channels, stride=stage.stride, dropout=stage.dropout)
        return Block(stage, gcn, tcn)
