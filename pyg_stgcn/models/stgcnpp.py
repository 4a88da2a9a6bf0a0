"""ST-GCN++.

From "PYSKL: Towards Good Practices for Skeleton Action Recognition"
(https://arxiv.org/abs/2205.09443): ST-GCN with learnt edge weights, a residual path around every
graph convolution, and temporal convolutions in six branches.
"""

from __future__ import annotations

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit, Stage
from pyg_stgcn.models.registry import register_model
from pyg_stgcn.nn import MSTCN, STGraphConv


@register_model
class STGCNPP(Backbone):
    """Spatial temporal graph convolutional network with multi-scale temporal convolutions.

    See :class:`~pyg_stgcn.models.Backbone` for the options.
    """

    def make_block(self, stage: Stage) -> Block:
        """Makes one stage."""
        channels = stage.out_channels
        conv = STGraphConv(stage.in_channels, channels, stage.graph.num_partitions)
        gcn = SpatialUnit(conv, stage.graph, "init", residual=True)
        return Block(stage, gcn, MSTCN(channels, stage.stride, stage.dropout))
