"""CTR-GCN.

From "Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action Recognition"
(https://arxiv.org/abs/2107.12213), as in "PYSKL: Towards Good Practices for Skeleton Action
Recognition" (https://arxiv.org/abs/2205.09443).
"""

from __future__ import annotations

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit, Stage
from pyg_stgcn.models.registry import register_model
from pyg_stgcn.nn import CTRMSTCN, CTRGraphConv


@register_model
class CTRGCN(Backbone):
    """Graph convolutional network with a graph that is refined channel by channel.

    See :class:`~pyg_stgcn.models.Backbone` for the options.
    """

    person_slots = 2

    def make_block(self, stage: Stage) -> Block:
        """Makes one stage."""
        channels = stage.out_channels
        conv = CTRGraphConv(stage.in_channels, channels, stage.graph.num_partitions)
        gcn = SpatialUnit(conv, stage.graph, "init", residual=True, zero_init=True)
        return Block(stage, gcn, CTRMSTCN(channels, stage.stride, stage.dropout))
