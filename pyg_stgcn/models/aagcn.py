"""AAGCN, also known as MS-AAGCN (one stream of it).

From "Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional Networks"
(https://arxiv.org/abs/1912.06971), as in "PYSKL: Towards Good Practices for Skeleton Action
Recognition" (https://arxiv.org/abs/2205.09443).
"""

from __future__ import annotations

from typing import Any

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit, Stage
from pyg_stgcn.models.registry import register_model
from pyg_stgcn.nn import AAGraphConv, STCAttention, TemporalConv
from pyg_stgcn.skeletons import Skeleton


@register_model
class AAGCN(Backbone):
    r"""Adaptive graph convolutional network with attention over joints, frames and channels.

    Args:
        num_classes (int): Number of classes.
        skeleton (Skeleton or str): The skeleton of the data, or the name of a built-in one.
        attention (bool): If set to :obj:`False`, there is no attention. (default: :obj:`True`)
        **options: Options of every :class:`~pyg_stgcn.models.Backbone`.
    """

    person_slots = 2

    def __init__(
        self,
        num_classes: int,
        skeleton: Skeleton | str,
        *,
        attention: bool = True,
        **options: Any,
    ) -> None:
        self.attention = attention
        super().__init__(num_classes, skeleton, **options)

    def make_block(self, stage: Stage) -> Block:
        """Makes one stage."""
        channels, graph = stage.out_channels, stage.graph
        gcn = SpatialUnit(
            AAGraphConv(stage.in_channels, channels, graph.num_partitions),
            graph,
            "init",
            residual=True,
            zero_init=True,
            attention=STCAttention(channels, graph.num_joints) if self.attention else None,
        )
        tcn = TemporalConv(
            channels, channels, stride=stage.stride, dropout=stage.dropout, fan_out=True
        )
        return Block(stage, gcn, tcn)
