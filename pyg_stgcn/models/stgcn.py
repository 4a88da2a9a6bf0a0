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
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.registry import register_model
from pyg_stgcn.nn import Adjacency, ClassifierHead, STGraphConv, TemporalConv, person_pool
from pyg_stgcn.skeleton import Skeleton, SkeletonGraph, get_skeleton


class SpatialUnit(nn.Module):
    r"""A graph convolution with its own learnable graph, batch norm and ReLU (``unit_gcn``).

    Args:
        in_channels (int): Channels :math:`C` of the input.
        out_channels (int): Channels :math:`C'` of the output.
        graph (SkeletonGraph): The graph.
        adaptive (str): What is learnt of the graph, see :class:`~pyg_stgcn.nn.Adjacency`.

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, T, V, C')`
    """

    def __init__(
        self, in_channels: int, out_channels: int, graph: SkeletonGraph, adaptive: str
    ) -> None:
        super().__init__()
        self.adjacency = Adjacency(graph, adaptive)
        self.conv = STGraphConv(in_channels, out_channels, graph.num_partitions)
        self.norm = nn.BatchNorm2d(out_channels)

    def reset_parameters(self) -> None:
        """Draws new weights and forgets the statistics."""
        self.adjacency.reset_parameters()
        self.conv.reset_parameters()
        self.norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Convolves every frame with the graph."""
        out = self.conv(x, self.adjacency())
        return self.norm(out.permute(0, 3, 1, 2)).relu_().permute(0, 2, 3, 1)


class STGCNBlock(nn.Module):
    r"""One stage: :math:`\mathrm{ReLU}(\mathrm{TCN}(\mathrm{GCN}(x)) + \mathrm{Res}(x))`.

    Args:
        in_channels (int): Channels :math:`C` of the input.
        out_channels (int): Channels :math:`C'` of the output.
        graph (SkeletonGraph): The graph.
        adaptive (str): What is learnt of the graph.
        stride (int): Temporal stride. (default: :obj:`1`)
        residual (bool): If set to :obj:`False`, there is no residual path. (default: :obj:`True`)
        dropout (float): Dropout after the temporal convolution. (default: :obj:`0.0`)

    Shapes:
        - **input:** :math:`(P, T, V, C)`
        - **output:** :math:`(P, \lceil T / \mathrm{stride} \rceil, V, C')`
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        graph: SkeletonGraph,
        adaptive: str,
        stride: int = 1,
        residual: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.gcn = SpatialUnit(in_channels, out_channels, graph, adaptive)
        self.tcn = TemporalConv(out_channels, out_channels, stride=stride, dropout=dropout)
        self.residual: nn.Module | None
        if not residual:
            self.residual = None
        elif in_channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = TemporalConv(in_channels, out_channels, kernel_size=1, stride=stride)

    def reset_parameters(self) -> None:
        """Draws new weights and forgets the statistics."""
        self.gcn.reset_parameters()
        self.tcn.reset_parameters()
        if isinstance(self.residual, TemporalConv):
            self.residual.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Runs the stage."""
        out = self.tcn(self.gcn(x))
        return out.relu() if self.residual is None else (out + self.residual(x)).relu_()


class STGCN(nn.Module):
    r"""Spatial temporal graph convolutional network.

    Ten stages. Channels double at :obj:`inflate_stages`, frames halve at :obj:`down_stages`; the
    first stage is left out where the input has :obj:`base_channels` channels already. Features are
    averaged over frames and joints, then over the persons that are there.

    Args:
        num_classes (int): Number of classes.
        skeleton (Skeleton or str): The skeleton of the data, or the name of a built-in one.
        in_channels (int): Channels :math:`C` of the input. (default: :obj:`3`)
        base_channels (int): Width of the first stages. (default: :obj:`64`)
        graph (str): A partition of the skeleton (see :meth:`pyg_stgcn.skeleton.Skeleton.graph`),
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
        - **input:** a :class:`~torch_geometric.data.Data` or a
          :class:`~torch_geometric.data.Batch` with **x** :math:`(P V, T, C)`, the joints of a
          person together, and **num_persons**
        - **output:** logits :math:`(N, \mathrm{classes})`

    Raises:
        InputError: If an option is out of range.
    """

    NUM_STAGES = 10

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
        super().__init__()
        _check_counts(num_classes=num_classes, in_channels=in_channels, base_channels=base_channels)
        self.skeleton = get_skeleton(skeleton) if isinstance(skeleton, str) else skeleton
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.graph = graph
        self.num_partitions = num_partitions
        self.dropout = dropout
        adaptive = adaptive or ("init" if graph == "random" else "importance")
        start = self.skeleton.graph(graph, num_partitions)

        self.data_norm = nn.BatchNorm1d(self.skeleton.num_joints * in_channels)
        self.stages = nn.ModuleList()
        channels, width = in_channels, base_channels
        for stage in range(1, self.NUM_STAGES + 1):
            width *= 2 if stage in inflate_stages else 1
            if stage == 1 and in_channels == base_channels:
                continue
            block = STGCNBlock(
                channels,
                width,
                start,
                adaptive,
                stride=2 if stage in down_stages else 1,
                residual=stage > 1,
                dropout=tcn_dropout if stage > 1 else 0.0,
            )
            self.stages.append(block)
            channels = width
        self.num_features = channels
        self.head = ClassifierHead(self.num_features, num_classes, dropout)

    def reset_parameters(self) -> None:
        """Draws new weights (and a new random graph) and forgets the statistics."""
        start = self.skeleton.graph(self.graph, self.num_partitions)
        self.data_norm.reset_parameters()
        for block in cast(list[STGCNBlock], list(self.stages)):
            block.gcn.adjacency.restart_from(start)
            block.reset_parameters()
        self.head.reset_parameters()

    def reset_classifier(self, num_classes: int) -> None:
        """Puts a new, untrained classifier on the features.

        Args:
            num_classes: Number of classes.

        Raises:
            InputError: If it is less than 1.
        """
        _check_counts(num_classes=num_classes)
        self.num_classes = num_classes
        head = ClassifierHead(self.num_features, num_classes, self.dropout)
        self.head = head.to(self.head.linear.weight).train(self.training)

    def forward(self, batch: Data | Batch) -> Tensor:
        """Maps a batch to logits."""
        return self.head(self.forward_features(batch))

    def forward_features(self, batch: Data | Batch) -> Tensor:
        """Maps a batch to one vector per sample, shape :math:`(N, C')`."""
        x, num_persons = self._static(batch)
        return person_pool(self.forward_maps(x).mean(dim=(1, 2)), num_persons)

    def forward_maps(self, x: Tensor) -> Tensor:
        """Maps persons :math:`(P, T, V, C)` to feature maps :math:`(P, T', V, C')`."""
        x = self.data_norm(x.reshape(-1, x.size(2) * x.size(3))).view_as(x)
        for block in self.stages:
            x = block(x)
        return x

    def _static(self, batch: Data | Batch) -> tuple[Tensor, Tensor]:
        """The persons of a batch as ``[P, T, V, C]``, and how many of them every sample has."""
        x, num_joints = batch.get("x"), self.skeleton.num_joints
        if x is None or x.dim() != 3:
            shape = None if x is None else tuple(x.shape)
            raise InputError(
                f"x: expected joints, frames and channels [M*V, T, C], got {shape}; see "
                f"pyg_stgcn.datasets for the form of a sample"
            )
        if x.size(2) != self.in_channels:
            raise InputError(
                f"x: the data has {x.size(2)} channels, but the model was made for "
                f"{self.in_channels}; use the same streams, or a model with in_channels={x.size(2)}"
            )
        if batch.get("num_persons") is None:
            raise InputError("num_persons: missing; give the number of persons of every sample")
        num_persons = torch.as_tensor(batch.num_persons, device=x.device).view(-1)
        total = int(num_persons.sum())
        if x.size(0) != total * num_joints:
            joints = x.size(0) / max(total, 1)
            raise InputError(
                f"x: the data has {joints:g} joints per person ({x.size(0)} nodes, {total} "
                f"persons), but the skeleton {self.skeleton.name!r} of the model has {num_joints}; "
                f"use the skeleton of the data"
            )
        return x.view(total, num_joints, *x.shape[1:]).transpose(1, 2), num_persons


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name}: {count} is too few; give at least 1")


@register_model
def stgcn(
    num_classes: int,
    skeleton: Skeleton | str,
    in_channels: int = 3,
    base_channels: int = 64,
    graph: str = "stgcn_spatial",
    num_partitions: int = 3,
    adaptive: str | None = None,
    dropout: float = 0.0,
    tcn_dropout: float = 0.0,
) -> STGCN:
    """ST-GCN, see :class:`STGCN`."""
    return STGCN(
        num_classes,
        skeleton,
        in_channels,
        base_channels,
        graph,
        num_partitions,
        adaptive,
        dropout,
        tcn_dropout,
    )
