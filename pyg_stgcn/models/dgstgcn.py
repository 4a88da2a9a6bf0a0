"""DG-STGCN.

From "DG-STGCN: Dynamic Spatial-Temporal Modeling for Skeleton-based Action Recognition"
(https://arxiv.org/abs/2210.05895).
"""

from __future__ import annotations

from typing import Any

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit, Stage
from pyg_stgcn.models.registry import register_model
from pyg_stgcn.nn import DGMSTCN, DGGraphConv
from pyg_stgcn.skeletons import Skeleton


@register_model
class DGSTGCN(Backbone):
    r"""Dynamic group spatial temporal graph convolutional network.

    Args:
        num_classes (int): Number of classes.
        skeleton (Skeleton or str): The skeleton of the data, or the name of a built-in one.
        ratio (float): Channels of one partition, as a fraction of those of the stage.
            (default: :obj:`0.125`)
        subset_wise (bool): If set to :obj:`True`, every partition has its own factors of the
            dynamic part of its graph. (default: :obj:`False`)
        **options: Options of every :class:`~pyg_stgcn.models.Backbone`.
    """

    graph = "random"
    num_partitions = 8

    def __init__(
        self,
        num_classes: int,
        skeleton: Skeleton | str,
        *,
        ratio: float = 0.125,
        subset_wise: bool = False,
        **options: Any,
    ) -> None:
        self.ratio = ratio
        self.subset_wise = subset_wise
        super().__init__(num_classes, skeleton, **options)

    def make_block(self, stage: Stage) -> Block:
        """Makes one stage."""
        channels, graph = stage.out_channels, stage.graph
        conv = DGGraphConv(
            stage.in_channels, channels, graph.num_partitions, self.ratio, self.subset_wise
        )
        gcn = SpatialUnit(conv, graph, "init", residual=True)
        tcn = DGMSTCN(channels, graph.num_joints, stage.stride, stage.dropout)
        return Block(stage, gcn, tcn)
