"""ST-GCN.

From "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition"
(https://arxiv.org/abs/1801.07455), in the form of "PYSKL: Towards Good Practices for Skeleton
Action Recognition" (https://arxiv.org/abs/2205.09443): no dropout, data normalised per joint and
channel, nine-frame temporal convolutions. The learnable ``random`` graph over all joint pairs is
that of "Are Spatial-Temporal Graph Convolution Networks for Human Action Recognition
Over-Parameterized?" (CVPR 2025).
"""

from __future__ import annotations

from collections.abc import Collection

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.blocks import Block, SpatialUnit, Stage
from pyg_stgcn.models.registry import register_model
from pyg_stgcn.nn import STGraphConv, TemporalConv
from pyg_stgcn.skeletons import Skeleton


@register_model
class STGCN(Backbone):
    r"""Spatial temporal graph convolutional network.

    Ten stages. Channels double at :obj:`inflate_stages`, frames halve at :obj:`down_stages`; the
    first stage is left out where the input has :obj:`base_channels` channels already. Features are
    averaged over frames and joints, then over the persons that are there.

    Args:
        num_classes (int): Number of classes.
        skeleton (Skeleton or str): The skeleton of the data, or the name of a built-in one.
        in_channels (int): Channels :math:`C` of the input. (default: :obj:`3`)
        base_channels (int): Width of the first stages. (default: :obj:`64`)
        graph (str): A partition of the skeleton (see :meth:`pyg_stgcn.skeletons.Skeleton.graph`),
            or :obj:`"random"` for a learnable graph over all pairs of joints, one draw of which is
            the starting point of all stages. (default: :obj:`"stgcn_spatial"`)
        num_partitions (int): Number of partitions of the :obj:`"random"` graph.
            (default: :obj:`3`)
        adaptive (str, optional): What is learnt of the graph: an :obj:`"importance"` for every
            edge of a fixed graph, or all weights, with the graph as :obj:`"init"` (default:
            :obj:`"init"` for :obj:`"random"`, else :obj:`"importance"`).
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
        graph: str = "stgcn_spatial",
        num_partitions: int = 3,
        adaptive: str | None = None,
        dropout: float = 0.0,
        tcn_dropout: float = 0.0,
        inflate_stages: Collection[int] = (5, 8),
        down_stages: Collection[int] = (5, 8),
    ) -> None:
        learnt = adaptive or ("init" if graph == "random" else "importance")

        def make_block(stage: Stage) -> Block:
            channels = stage.out_channels
            conv = STGraphConv(stage.in_channels, channels, stage.graph.num_partitions)
            gcn = SpatialUnit(conv, stage.graph, learnt)
            tcn = TemporalConv(channels, channels, stride=stage.stride, dropout=stage.dropout)
            return Block(stage, gcn, tcn)

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
        )
