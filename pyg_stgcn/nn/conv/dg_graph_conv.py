"""The dynamic group graph convolution of DG-STGCN, on any PyG graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.utils import softmax

from pyg_stgcn.nn.conv.adaptive import AdaptiveGraphConv, both_ends, channel_product
from pyg_stgcn.nn.conv.graph_input import TypedEdges
from pyg_stgcn.nn.conv.partitioned import Pair
from pyg_stgcn.nn.feature_norm import FeatureNorm
from pyg_stgcn.nn.features_last import features_last


class DGGraphConv(AdaptiveGraphConv):
    r"""The dynamic group graph convolution of the `"DG-STGCN: Dynamic Spatial-Temporal Modeling for
    Skeleton-based Action Recognition" <https://arxiv.org/abs/2210.05895>`_ paper.

    .. math::
        \mathbf{x}^{\prime}_{tw} &= \mathbf{W} \, \Big\Vert_{k=1}^{K} \sum_{v \in \mathcal{N}_k(w)}
        \left( A_{kvw} + \alpha \tanh ( \mathbf{p}_{kv} - \mathbf{q}_{kw} ) + \beta \,
        \mathrm{softmax}_v ( \mathbf{p}_{kv}^{\top} \mathbf{q}_{kw} ) \right)
        \odot \mathbf{h}_{ktv} + \mathbf{b} \\
        \mathbf{h}_{ktv} &= \mathrm{ReLU}(\mathrm{BN}(\mathbf{u}_k(\mathbf{x}_{tv})))

    where :math:`A_{kvw}` is the prior weight of an edge, :math:`\mathbf{p}, \mathbf{q}` are linear
    maps of the mean over the frames, :math:`\mathbf{u}` is one of every frame, and the softmax is
    over the edges of a partition that arrive at :math:`w`. :math:`\alpha` and :math:`\beta` start
    at zero. An edge of weight zero carries no message and takes no part in the softmax. The masks
    of an explanation weigh the messages after the softmax, as in the attention layers of PyG.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of groups of channels and of edge types :math:`K`, each with
            its own weights. Edges without types are in all groups. (default: :obj:`8`)
        ratio (float): Channels of one partition, as a fraction of the output channels.
            (default: :obj:`0.125`)
        subset_wise (bool): If set to :obj:`True`, every partition has its own :math:`\alpha` and
            :math:`\beta`; otherwise the first of them count for all, as in the published weights.
            (default: :obj:`False`)
        node_dim (int): The dimension of the nodes in input and output: :obj:`0` for the clips of
            the datasets, :math:`(V, T, C)`. (default: :obj:`-2`)

    Shapes:
        - **input:** node features :math:`(*, T, V, C)` or :math:`(V, C)`, or a pair of them for
          source and target nodes; edge indices :math:`(2, E)`, prior edge weights :math:`(E)`
          *(optional)*, edge types :math:`(E)`; or, in place of the three, one matrix
          :math:`(V K, V)`, a :class:`torch_sparse.SparseTensor` or a sparse
          :class:`torch.Tensor` as :obj:`edge_index` or a dense one as :obj:`dense_adj`, whose row
          :math:`w K + k` holds the weights :math:`A_{k \cdot w}`
        - **output:** node features :math:`(*, T, V, C')` or :math:`(V, C')`
    """

    untyped = True
    channels: Tensor | None
    constants: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_partitions: int = 8,
        ratio: float = 0.125,
        subset_wise: bool = False,
        node_dim: int = -2,
    ) -> None:
        super().__init__(in_channels, out_channels, num_partitions, node_dim)
        self.subset_wise = subset_wise
        # The published rounding: down, with room for what a float is off by.
        self.group_channels = max(int(ratio * out_channels + 1e-4), 1)
        width = num_partitions * self.group_channels
        self.pre = nn.Linear(in_channels, width)
        self.pre_norm = FeatureNorm(width)
        self.relate = nn.Linear(in_channels, 2 * width)
        self.post = nn.Linear(width, out_channels)
        #: Of networks whose pruned channels are removed: the channels of the partitions that
        #: travel, those that are constant before they do, and the map of the latter's sums.
        self.register_buffer("channels", None)
        self.register_buffer("constants", None)
        self.rest: nn.Linear | None = None
        self.alpha = nn.Parameter(torch.empty(num_partitions))
        self.beta = nn.Parameter(torch.empty(num_partitions))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draws new weights and resets the statistics; the two factors start at zero."""
        super().reset_parameters()
        for layer in (self.pre, self.pre_norm, self.relate, self.post):
            layer.reset_parameters()
        nn.init.zeros_(self.alpha)
        nn.init.zeros_(self.beta)

    def all_pairs(self, x: Pair, prior: Tensor) -> Tensor:
        """Convolves with the dynamic graphs of all pairs, as batched matrix products."""
        # Sources before targets, as channel_product takes them.
        prior = prior.transpose(1, 2)
        kept = prior != 0
        alpha, beta = self._factors()[..., None, None] * kept
        # [P, K, m, V] each.
        source, target = both_ends(
            lambda x: self._relations(x).permute(2, 0, 3, 4, 1).contiguous(), x
        )
        score = _without(~kept, source.transpose(2, 3) @ target)
        shared = prior + beta * score.softmax(-2)
        if self.channels is None:
            difference = _differences(source, target)
            graph = (shared.unsqueeze(2) + alpha.unsqueeze(1) * difference).flatten(1, 2)
        else:
            graph = shared[:, self.channels // self.group_channels]
            graph = graph + self._gated(self.channels, alpha, source, target)
        out = self.post(channel_product(self._groups(x[0]), graph).contiguous())
        if self.rest is None or self.constants is None:
            return out
        sums = self._gated(self.constants, alpha, source, target).sum(-2)
        return out + self.rest(sums.transpose(1, 2)).unsqueeze(1)

    def _gated(self, channels: Tensor, gate: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """The differences of some channels, with their factors: ``[P, len(channels), V, W]``."""
        source, target = (end.flatten(1, 2)[:, channels] for end in (source, target))
        return gate[channels // self.group_channels] * _differences(source, target)

    def along_edges(self, x: Pair, edges: TypedEdges, prior: Tensor) -> Tensor:
        """Convolves with the dynamic weights of the edges."""
        self.check_whole(self.channels is None)
        # With types every node is split into its K groups, which have edges of their own. Without,
        # the groups travel together, as the H = K heads of one message.
        split = 1 if edges.kind is None else self.num_partitions
        heads = self.num_partitions // split
        sources, targets = x[0].size(2) * split, x[1].size(2) * split
        source, target = both_ends(
            lambda x: self._relations(x).permute(2, 0, 1, 3, 4).unflatten(3, (split, heads)), x
        )
        source = source.flatten(1, 2)[:, edges.typed_source]
        target = target.flatten(1, 2)[:, edges.typed_target]
        # [P, E, H, m] each.
        alpha, beta = self._factors()
        if edges.kind is not None:
            alpha, beta = alpha[edges.kind].unsqueeze(1), beta[edges.kind].unsqueeze(1)
        kept = (prior != 0).unsqueeze(1)
        score = _without(~kept, (source * target).sum(-1))
        score = softmax(score, edges.typed_target, num_nodes=targets, dim=1)
        weight = (prior.unsqueeze(1) + beta * kept * score).unsqueeze(-1)
        weight = weight + (alpha * kept).unsqueeze(-1) * (source - target).tanh()
        groups = self._groups(x[0])
        channels = heads * self.group_channels
        out = self.propagate(
            torch.stack([edges.typed_source, edges.typed_target]),
            x=(groups.reshape(*groups.shape[:2], sources, channels), None),
            weight=weight.flatten(2).unsqueeze(1),
            size=(sources, targets),
        )
        return self.post(out.reshape(*groups.shape[:2], x[1].size(2), groups.size(-1)))

    def _groups(self, x: Tensor) -> Tensor:
        """The features that travel, those of all partitions side by side."""
        return features_last(self.pre_norm, self.pre(x)).relu()

    def _relations(self, x: Tensor) -> Tensor:
        """The maps p and q of the mean over the frames, ``[P, V, 2, K, m]``."""
        mean = x.mean(1)
        return self.relate(mean).view(*mean.shape[:2], 2, self.num_partitions, self.group_channels)

    def _factors(self) -> Tensor:
        """Both factors of all partitions, ``[2, K]``."""
        factors = torch.stack([self.alpha, self.beta])
        return factors if self.subset_wise else factors[:, :1].expand_as(factors)


def _differences(source: Tensor, target: Tensor) -> Tensor:
    """The tanh of the differences of all pairs, ``[..., V, W]``."""
    return (source.unsqueeze(-1) - target.unsqueeze(-2)).tanh()


def _without(missing: Tensor, score: Tensor) -> Tensor:
    """The scores, so low where an edge is missing that a softmax leaves it out."""
    return score.masked_fill(missing, torch.finfo(score.dtype).min)
