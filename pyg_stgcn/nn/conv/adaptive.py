"""The base of the graph convolutions that learn a part of their graph from the data."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.nn.conv.graph_input import TypedEdges
from pyg_stgcn.nn.conv.partitioned import Pair, PartitionedGraphConv


class AdaptiveGraphConv(PartitionedGraphConv):
    r"""Base of the graph convolutions that take a graph as the prior and learn the rest.

    The graph is given as edges or as one matrix. Along edges, the learnt part is computed edge by
    edge. With a matrix :math:`(V K, V)` it is computed for all pairs of nodes at once, which is
    faster for small graphs with many edges. Both agree. An edge or entry of weight zero carries no
    message: the learnt part does not bring it back.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`.
        node_dim (int): The dimension of the nodes in input and output.
    """

    def convolve_dense(self, x: Pair, adj: Tensor) -> Tensor:
        """Convolves with a graph of all pairs around a dense prior."""
        frames = self._frames(x)
        sources, targets = x[0].size(-2), x[1].size(-2)
        if adj.size(0) == targets:
            prior = adj.expand(self.num_partitions, targets, sources)
        else:
            prior = adj.view(targets, self.num_partitions, sources).transpose(0, 1)
        return self._as_given(self.all_pairs(frames, prior), x)

    def convolve_edges(self, x: Pair, edges: TypedEdges) -> Tensor:
        """Convolves along edges around their prior."""
        prior = edges.weight
        if prior is None:
            prior = x[0].new_ones(edges.source.numel())
        return self._as_given(self.along_edges(self._frames(x), edges, prior), x)

    @abstractmethod
    def all_pairs(self, x: Pair, prior: Tensor) -> Tensor:
        """Convolves ``x [P, T, V, C]`` with a graph of all pairs around ``prior [K, W, V]``."""

    @abstractmethod
    def along_edges(self, x: Pair, edges: TypedEdges, prior: Tensor) -> Tensor:
        """Convolves ``x [P, T, V, C]`` along the given edges around ``prior [E]``."""

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """The features at the source of every edge, times the weight of the edge."""
        return weight * x_j

    def check_whole(self, whole: bool) -> None:
        """Raises an error along edges if constants of removed channels are missing there.

        Args:
            whole (bool): Whether all channels are computed.
        """
        if not whole:
            raise InputError(
                f"{type(self).__name__}: its pruned channels are removed, so it has no messages "
                "along edges; give the graph as one matrix, or explain the model before shrink()"
            )

    def _frames(self, x: Pair) -> Pair:
        """The features as ``[P, T, V, C]``; without frames, those of one frame."""
        self.check_channels("x[1]", x[1])
        source = _four_dimensions(x[0])
        return source, source if x[1] is x[0] else _four_dimensions(x[1])

    def _as_given(self, out: Tensor, x: Pair) -> Tensor:
        return out.reshape(*x[1].shape[:-1], self.out_channels)


def both_ends(embed: Callable[[Tensor], Tensor], x: Pair) -> tuple[Tensor, Tensor]:
    """The first embedding of the source nodes and the second of the target nodes.

    Args:
        embed: A map of features to both embeddings, ``[2, ...]``.
        x: The features of both.
    """
    source, target = embed(x[0])
    if x[1] is not x[0]:
        _, target = embed(x[1])
    return source, target


def _four_dimensions(x: Tensor) -> Tensor:
    frames = x.size(-3) if x.dim() > 2 else 1
    return x.reshape(math.prod(x.shape[:-3]), frames, *x.shape[-2:])


def channel_product(x: Tensor, graph: Tensor) -> Tensor:
    r"""The product of every channel with a graph of its own.

    Args:
        x (torch.Tensor): The features.
        graph (torch.Tensor): One matrix per channel, sources before targets.

    Shapes:
        - **x:** :math:`(P, T, V, C)`, **graph:** :math:`(P, C, V, W)`
        - **output:** :math:`(P, T, W, C)`
    """
    return (x.permute(0, 3, 1, 2) @ graph).permute(0, 2, 3, 1)
