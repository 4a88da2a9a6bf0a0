"""The dynamic group graph convolution of DG-STGCN, on any PyG graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.utils import softmax

from pyg_stgcn.nn.conv.adaptive import AdaptiveGraphConv, TypedEdges, channel_product
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
    at zero. An edge of weight zero carries no message and takes no part in the softmax.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`, each with its own weights.
            (default: :obj:`8`)
        ratio (float): Channels of one partition, as a fraction of the output channels.
            (default: :obj:`0.125`)
        subset_wise (bool): If set to :obj:`True`, every partition has its own :math:`\alpha` and
            :math:`\beta`; otherwise the first of them count for all, as in the published weights.
            (default: :obj:`False`)

    Shapes:
        - **input:** node features :math:`(*, T, V, C)` or :math:`(V, C)`, edge indices
          :math:`(2, E)`, prior edge weights :math:`(E)` *(optional)*, edge types :math:`(E)`; or,
          in place of the three, one matrix :math:`(V K, V)`, a
          :class:`torch_sparse.SparseTensor` as :obj:`edge_index` or a dense one as
          :obj:`dense_adj`, whose row :math:`w K + k` holds the weights :math:`A_{k \cdot w}`
        - **output:** node features :math:`(*, T, V, C')` or :math:`(V, C')`
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_partitions: int = 8,
        ratio: float = 0.125,
        subset_wise: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, num_partitions)
        self.subset_wise = subset_wise
        # The published rounding: down, with room for what a float is off by.
        self.group_channels = max(int(ratio * out_channels + 1e-4), 1)
        width = num_partitions * self.group_channels
        self.pre = nn.Linear(in_channels, width)
        self.pre_norm = nn.BatchNorm2d(width)
        self.relate = nn.Linear(in_channels, 2 * width)
        self.post = nn.Linear(width, out_channels)
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

    def all_pairs(self, x: Tensor, prior: Tensor) -> Tensor:
        """Convolves with the dynamic graphs of all pairs, as batched matrix products."""
        alpha, beta = self._factors()
        kept = prior != 0
        # [P, K, m, V] each.
        source, target = self._relations(x).permute(2, 0, 3, 4, 1)
        difference = (source.unsqueeze(-2) - target.unsqueeze(-1)).tanh()
        score = (target.transpose(2, 3) @ source).masked_fill(~kept, torch.finfo(x.dtype).min)
        gate = beta[:, None, None] * kept
        shared = torch.addcmul(prior, gate, score.softmax(-1)).unsqueeze(2)
        gate = alpha[:, None, None, None] * kept.unsqueeze(1)
        graph = torch.addcmul(shared, gate, difference)
        return self.post(channel_product(self._groups(x), graph.flatten(1, 2)))

    def along_edges(self, x: Tensor, edges: TypedEdges) -> Tensor:
        """Convolves with the dynamic weights of the edges."""
        alpha, beta = (factor[edges.kind] for factor in self._factors())
        kept = edges.weight != 0
        num_nodes = x.size(2) * self.num_partitions
        source, target = self._relations(x).transpose(1, 2).flatten(2, 3).unbind(1)
        source, target = source[:, edges.typed_source], target[:, edges.typed_target]
        score = (source * target).sum(-1).masked_fill(~kept, torch.finfo(x.dtype).min)
        score = softmax(score, edges.typed_target, num_nodes=num_nodes, dim=1)
        weight = (edges.weight + beta * kept * score).unsqueeze(-1)
        weight = weight + (alpha * kept).unsqueeze(-1) * (source - target).tanh()
        out = self.propagate(
            torch.stack([edges.typed_source, edges.typed_target]),
            x=(self._groups(x).view(*x.shape[:2], num_nodes, -1), None),
            weight=weight.unsqueeze(1),
            size=(num_nodes, num_nodes),
        )
        return self.post(out.view(*x.shape[:3], -1))

    def _groups(self, x: Tensor) -> Tensor:
        """The features that travel, those of all partitions side by side."""
        return features_last(self.pre_norm, self.pre(x)).relu()

    def _relations(self, x: Tensor) -> Tensor:
        """The maps p and q of the mean over the frames, ``[P, V, 2, K, m]``."""
        mean = x.mean(1)
        return self.relate(mean).view(*mean.shape[:2], 2, self.num_partitions, self.group_channels)

    def _factors(self) -> tuple[Tensor, Tensor]:
        """The factors of all partitions."""
        if self.subset_wise:
            return self.alpha, self.beta
        return self.alpha[:1].expand_as(self.alpha), self.beta[:1].expand_as(self.beta)
