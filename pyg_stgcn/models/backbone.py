"""The base of all backbones: from clips through stages of convolutions to logits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.nn import global_mean_pool

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.blocks import Block, Stage, build_graphs
from pyg_stgcn.models.hub_mixin import HubMixin
from pyg_stgcn.nn import ClassifierHead, PersonNorm
from pyg_stgcn.nn.input_norm import normalize_rows
from pyg_stgcn.ranges import STAGES
from pyg_stgcn.skeletons import Skeleton, SkeletonGraph, get_skeleton

#: Stages that double the channels and halve the frames, as published.
_DOUBLING_STAGES = (5, 8)


class Backbone(HubMixin, nn.Module):
    r"""Stages over the joints and frames of every person, pooling and a classifier.

    Channels double at :obj:`inflate_stages`, frames halve at :obj:`down_stages`; the first stage
    is left out if the input has :obj:`base_channels` channels already. Features are averaged
    over frames and joints, then over the persons of a clip.

    A subclass defines :meth:`make_block` and, as class attributes, defaults that differ:

    .. code-block:: python

        @register_model
        class WideKernel(Backbone):
            graph = "spatial"

            def make_block(self, stage: Stage) -> Block:
                channels, graph = stage.out_channels, stage.graph
                conv = STGraphConv(stage.in_channels, channels, graph.num_partitions)
                gcn = SpatialUnit(conv, graph, "init")
                tcn = TemporalConv(channels, channels, 15, stage.stride)
                return Block(stage, gcn, tcn)

    Args:
        num_classes (int): Number of classes.
        skeleton (Skeleton or str): The skeleton of the data, or the name of a built-in one.
        in_channels (int): Channels :math:`C` of the input. (default: :obj:`3`)
        base_channels (int): Width of the first stages. (default: :obj:`64`)
        graph (str, optional): The graph of every stage at the start: a partition of the skeleton
            (see :meth:`pyg_stgcn.skeletons.Skeleton.graph`), or :obj:`"random"` for random weights
            of all pairs of joints (default: that of the class).
        num_partitions (int, optional): Number of partitions of the :obj:`"random"` graph (default:
            that of the class).
        person_slots (int, optional): Number of persons of a clip with a normalisation of their own;
            further persons share the last (default: that of the class).
        dropout (float): Dropout before the classifier. (default: :obj:`0.0`)
        tcn_dropout (float): Dropout after the temporal convolutions of all stages but the first.
            (default: :obj:`0.0`)
        num_stages (int): Number of stages. (default: :obj:`10`)
        inflate_stages (collection of int, optional): Stages, counted from 1, at which channels
            double (default: 5 and 8, if there are so many).
        down_stages (collection of int, optional): Stages, counted from 1, at which frames halve
            (default: 5 and 8, if there are so many).

    Shapes:
        - **x:** :math:`(P V, T, C)`, the joints of a person together
        - **batch:** the clip of every node, ascending, :math:`(P V)` *(optional)*
        - **output:** logits :math:`(N, \mathrm{classes})`

    Raises:
        InputError: If an option is out of range.
    """

    #: The graph at the start, its number of partitions if it is random, and whether all pairs of
    #: joints are learnable edges.
    graph: str = "spatial"
    num_partitions: int = 3
    all_pairs: bool = True
    #: Persons of a clip with a normalisation of their own.
    person_slots: int = 1
    #: Whether pruned channels have been removed, see :func:`~pyg_stgcn.models.shrink`.
    is_shrunken: bool = False

    def __init__(
        self,
        num_classes: int,
        skeleton: Skeleton | str,
        *,
        in_channels: int = 3,
        base_channels: int = 64,
        graph: str | None = None,
        num_partitions: int | None = None,
        person_slots: int | None = None,
        dropout: float = 0.0,
        tcn_dropout: float = 0.0,
        num_stages: int = 10,
        inflate_stages: Collection[int] | None = None,
        down_stages: Collection[int] | None = None,
    ) -> None:
        super().__init__()
        self.graph = self.graph if graph is None else graph
        self.num_partitions = self.num_partitions if num_partitions is None else num_partitions
        self.person_slots = self.person_slots if person_slots is None else person_slots
        _check_counts(
            num_classes=num_classes,
            in_channels=in_channels,
            base_channels=base_channels,
            person_slots=self.person_slots,
        )
        if num_stages not in STAGES:
            raise InputError(f"num_stages {num_stages}: out of range; choose from {STAGES}")
        has_first = in_channels != base_channels
        if num_stages == 1 and not has_first:
            raise InputError(
                f"num_stages 1: there would be none, the first is left out for an input of "
                f"{in_channels} channels, the width of the model; give at least 2"
            )
        self.skeleton = get_skeleton(skeleton) if isinstance(skeleton, str) else skeleton
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.base_channels = base_channels
        self.dropout = dropout
        self.tcn_dropout = tcn_dropout
        self.num_stages = num_stages
        self.inflate_stages = _check_stages("inflate_stages", inflate_stages, num_stages)
        self.down_stages = _check_stages("down_stages", down_stages, num_stages)
        start = self.start_graph()

        num_features = self.skeleton.num_joints * in_channels
        self.data_norm: nn.BatchNorm1d | PersonNorm
        if self.person_slots == 1:
            self.data_norm = nn.BatchNorm1d(num_features)
        else:
            self.data_norm = PersonNorm(num_features, self.person_slots)
        self.stages = nn.ModuleList()
        channels, width = in_channels, base_channels
        for number in range(1, num_stages + 1):
            width *= 2 if number in self.inflate_stages else 1
            if number == 1 and not has_first:
                continue
            stage = Stage(
                channels,
                width,
                stride=2 if number in self.down_stages else 1,
                graph=start,
                dropout=tcn_dropout if number > 1 else 0.0,
                residual=number > 1,
            )
            self.stages.append(self.make_block(stage))
            channels = width
        self.num_features = channels
        self.head = ClassifierHead(self.num_features, num_classes, dropout)

    @abstractmethod
    def make_block(self, stage: Stage) -> Block:
        """Makes one stage.

        Args:
            stage (Stage): Channels, stride, graph and dropout of the stage.
        """

    def start_graph(self) -> SkeletonGraph:
        """The graph of all stages at the start; drawn again on every call if it is random."""
        # A model that is built on "meta", for its shapes alone, has the edges of any other.
        device = torch.get_default_device()
        with torch.device("cpu" if device.type == "meta" else device):
            graph = self.skeleton.graph(self.graph, self.num_partitions)
            return graph.complete() if self.all_pairs else graph

    def reset_parameters(self) -> None:
        """Draws new weights (and a new random graph) and resets the statistics.

        Raises:
            InputError: If the model is shrunken: its layers hold what the removed ones add.
        """
        if self.is_shrunken:
            raise InputError(
                f"{type(self).__name__}: is shrunken, so its weights cannot be drawn again; reset "
                "the model before shrink(), or make a new one"
            )
        start = self.start_graph()
        self.data_norm.reset_parameters()
        for block in cast(list[Block], list(self.stages)):
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

    def forward(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to logits.

        Args:
            x (torch.Tensor): The features of all nodes.
            batch (torch.Tensor, optional): The clip of every node, as PyG's loaders give it
                (default: all nodes belong to one clip).
            batch_size (int, optional): The number of clips; without it, it is read from
                :obj:`batch`, which synchronises with a GPU.

        A clip without persons has features of zero: its logits are the biases of the classifier.

        Raises:
            InputError: If the shapes do not fit the model, or there are no frames.
        """
        return self.forward_head(self.forward_features(x, batch, batch_size), batch, batch_size)

    def forward_features(
        self, x: Tensor, batch: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Maps clips to the feature maps of their persons, shape :math:`(P, T', V, C')`."""
        x, clips = split_persons(x, batch, self.skeleton, self.in_channels)
        if x.size(0) == 0:
            return x.new_zeros(0, 1, self.skeleton.num_joints, self.num_features)
        x = self.normalize(x, clips)
        blocks = [block for block in self.stages if isinstance(block, Block)]
        graphs = iter(build_graphs([block.gcn for block in blocks]))
        for block in self.stages:
            x = block(x, next(graphs)) if isinstance(block, Block) else block(x)
        return x

    def forward_head(
        self,
        maps: Tensor,
        batch: Tensor | None = None,
        batch_size: int | None = None,
        pre_logits: bool = False,
    ) -> Tensor:
        """Maps the feature maps of persons to logits.

        Args:
            maps (torch.Tensor): The feature maps, see :meth:`forward_features`.
            batch (torch.Tensor, optional): The clip of every node, see :meth:`forward`.
            batch_size (int, optional): The number of clips.
            pre_logits (bool): If set to :obj:`True`, returns the features of the clips, shape
                :math:`(N, C')`, instead of their logits. (default: :obj:`False`)
        """
        features = pool_persons(maps, batch, batch_size, self.skeleton)
        return features if pre_logits else self.head(features)

    def normalize(self, x: Tensor, batch: Tensor | None = None) -> Tensor:
        """Normalises persons ``[P, T, V, C]``, of the clips ``[P]``, before the first stage."""
        if isinstance(self.data_norm, PersonNorm):
            return cast(Tensor, self.data_norm(x, batch))
        return normalize_rows(self.data_norm, x.flatten(2).flatten(0, 1)).view(x.shape)


def split_persons(
    x: Tensor, batch: Tensor | None, skeleton: Skeleton, in_channels: int
) -> tuple[Tensor, Tensor | None]:
    """The persons of a batch as ``[P, T, V, C]``, and the clip of each, ``[P]``.

    Args:
        x: The features of all nodes, see :class:`Backbone`.
        batch: The clip of every node.
        skeleton: The skeleton of the model.
        in_channels: Channels that the model was made for.

    Raises:
        InputError: If the shapes do not fit the model.
    """
    num_joints = skeleton.num_joints
    if x.dim() != 3:
        raise InputError(
            f"x: expected joints, frames and channels [P*V, T, C], got {tuple(x.shape)}; see "
            f"pyg_stgcn.datasets for the format of a clip"
        )
    if x.size(2) != in_channels:
        raise InputError(
            f"x: the data has {x.size(2)} channels, but the model was made for "
            f"{in_channels}; use the same streams, or a model with in_channels={x.size(2)}"
        )
    if x.size(1) == 0:
        raise InputError("x: the data has no frames; leave out clips without frames")
    if x.size(0) % num_joints:
        raise InputError(
            f"x: the data has {x.size(0)} nodes, which is no multiple of the {num_joints} joints "
            f"of the skeleton {skeleton.name!r} of the model; use the skeleton of the data"
        )
    if batch is not None and batch.shape != x.shape[:1]:
        raise InputError(
            f"batch: expected the clip of every node, shape {tuple(x.shape[:1])}, got "
            f"{tuple(batch.shape)}; give the batch vector of a PyG loader, and no edges: a model "
            f"has its own (how to explain them: docs/reference/models.md)"
        )
    persons = x.view(x.size(0) // num_joints, num_joints, *x.shape[1:]).transpose(1, 2)
    return persons, None if batch is None else batch[::num_joints]


def pool_persons(
    maps: Tensor, batch: Tensor | None, batch_size: int | None, skeleton: Skeleton
) -> Tensor:
    """The mean over frames, joints and persons of every clip, ``[N, C']``.

    Args:
        maps: The feature maps of persons, ``[P, T', V, C']``.
        batch: The clip of every node, see :class:`Backbone`.
        batch_size: The number of clips.
        skeleton: The skeleton of the model.
    """
    clips = None if batch is None else batch[:: skeleton.num_joints]
    if clips is None and maps.size(0) == 0:
        # As PyG pools a clip without nodes among others.
        return maps.new_zeros(1 if batch_size is None else batch_size, maps.size(-1))
    return cast(Tensor, global_mean_pool(maps.mean(dim=(1, 2)), clips, batch_size))


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name}: {count} is too few; give at least 1")


def _check_stages(name: str, chosen: Collection[int] | None, num_stages: int) -> list[int]:
    if chosen is None:
        return [number for number in _DOUBLING_STAGES if number <= num_stages]
    if absent := sorted(set(chosen) - set(range(1, num_stages + 1))):
        raise InputError(
            f"{name} {list(chosen)}: there is no stage {absent[0]}; choose from 1 to {num_stages}, "
            "or give more stages with num_stages"
        )
    return sorted(chosen)
