"""DG-STGCN.

From "DG-STGCN: Dynamic Spatial-Temporal Modeling for Skeleton-based Action Recognition"
(https://arxiv.org/abs/2210.05895).
"""

from __future__ import annotations

from collections.abc import Collection

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
        in_channels (int): Channels :math:`C` of the input. (default: :obj:`3`)
        base_channels (int): Width of the first stages. (default: :obj:`64`)
        graph (str): The graph that every stage starts with: a partition of the skeleton (see
            :meth:`pyg_stgcn.skeletons.Skeleton.graph`), or :obj:`"random"`. All pairs of joints
            are learnable edges. (default: :obj:`"random"`)
        num_partitions (int): Number of partitions of the :obj:`"random"` graph.
            (default: :obj:`8`)
        ratio (float): Channels of one partition, as a share of those of the stage.
            (default: :obj:`0.125`)
        subset_wise (bool): If set to :obj:`True`, every partition has its own factors for what is
            learnt from the data. (default: :obj:`False`)
        dropout (float): Dropout before the classifier. (default: :obj:`0.0`)
        tcn_dropout (float): Dropout after the temporal convolutions of all stages but the first.
            (default: :obj:`0.0`)
        inflate_stages (collection of int): Stages, counted from 1, at which channels double.
            (default: :obj:`(5, 8)`)
        down_stages (collection of int): Stages, counted from 1, at which frames halve.
            (default: :obj:`(5, 8)`)

    Shapes:
        - **x:** :math:`(P V, T, C)`, the joints of a person together
        - **batch:** the clip of every node, ascending, :math:`(P V)` *(optional)*
        - **output:** logits :math:`(N, \mathrm{classes})`

    Raises:
        InputError: If an option is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        skeleton: Skeleton | str,
        in_channels: int = 3,
        base_channels: int = 64,
        graph: str = "random",
        num_partitions: int = 8,
        ratio: float = 0.125,
        subset_wise: bool = False,
        dropout: float = 0.0,
        tcn_dropout: float = 0.0,
        inflate_stages: Collection[int] = (5, 8),
        down_stages: Collection[int] = (5, 8),
    ) -> None:
        def make_block(stage: Stage) -> Block:
            channels, start = stage.out_channels, stage.graph
            conv = DGGraphConv(
                stage.in_channels, channels, start.num_partitions, ratio, subset_wise
            )
            gcn = SpatialUnit(conv, start, "init", residual=True)
            return Block(
                stage, gcn, DGMSTCN(channels, start.num_joints, stage.stride, stage.dropout)
            )

        super().__init__(
            num_classes,
            skeleton,
            in_channels,
            base_channels,
            graph,
            num_partitions,
            dropout,
            tcn_dropout,
            inflate_stages,
            down_stages,
            make_block,
            all_pairs=True,
        )
