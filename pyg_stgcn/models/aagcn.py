"""AAGCN, also known as MS-AAGCN (one stream of it).

From "Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional Networks"
(https://arxiv.org/abs/1912.06971), in the form of "PYSKL: Towards Good Practices for Skeleton
Action Recognition" (https://arxiv.org/abs/2205.09443).
"""

from __future__ import annotations

from collections.abc import Collection

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
        in_channels (int): Channels :math:`C` of the input. (default: :obj:`3`)
        base_channels (int): Width of the first stages. (default: :obj:`64`)
        graph (str): The graph that every stage starts with: a partition of the skeleton (see
            :meth:`pyg_stgcn.skeletons.Skeleton.graph`), or :obj:`"random"`. All pairs of joints
            are learnable edges. (default: :obj:`"spatial"`)
        num_partitions (int): Number of partitions of the :obj:`"random"` graph.
            (default: :obj:`3`)
        attention (bool): If set to :obj:`False`, there is no attention. (default: :obj:`True`)
        person_slots (int): Number of persons of a sample with a normalisation of their own; the
            following ones share the last. (default: :obj:`2`)
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
        graph: str = "spatial",
        num_partitions: int = 3,
        attention: bool = True,
        person_slots: int = 2,
        dropout: float = 0.0,
        tcn_dropout: float = 0.0,
        inflate_stages: Collection[int] = (5, 8),
        down_stages: Collection[int] = (5, 8),
    ) -> None:
        def make_block(stage: Stage) -> Block:
            channels = stage.out_channels
            gcn = SpatialUnit(
                AAGraphConv(stage.in_channels, channels, stage.graph.num_partitions),
                stage.graph,
                "init",
                residual=True,
                zero_init=True,
                attention=STCAttention(channels, stage.graph.num_joints) if attention else None,
            )
            tcn = TemporalConv(
                channels, channels, stride=stage.stride, dropout=stage.dropout, fan_out=True
            )
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
            all_pairs=True,
            person_slots=person_slots,
        )
