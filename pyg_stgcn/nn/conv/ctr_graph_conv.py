"""The channel-wise refined graph convolution of CTR-GCN, on any PyG graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyg_stgcn.nn.conv.adaptive import AdaptiveGraphConv, both_ends
from pyg_stgcn.nn.conv.graph_input import TypedEdges
from pyg_stgcn.nn.conv.partitioned import Pair
from pyg_stgcn.nn.init import fan_out_
from pyg_stgcn.nn.placed import Merge


class CTRGraphConv(AdaptiveGraphConv):
    r"""The graph convolution of the `"Channel-wise Topology Refinement Graph Convolution for
    Skeleton-Based Action Recognition" <https://arxiv.org/abs/2107.12213>`_ paper.

    .. math::
        \mathbf{x}^{\prime}_{tw} = \sum_{k=1}^{K} \sum_{v \in \mathcal{N}_k(w)}
        \left( A_{kvw} + \alpha \, \mathbf{r}_k \big( \tanh ( \mathbf{p}_k(\bar{\mathbf{x}}_v) -
        \mathbf{q}_k(\bar{\mathbf{x}}_w) ) \big) \right) \odot \mathbf{u}_k(\mathbf{x}_{tv})

    where :math:`A_{kvw}` is the prior weight of an edge, shared by all channels,
    :math:`\mathbf{p}, \mathbf{q}, \mathbf{r}, \mathbf{u}` are linear maps with bias and
    :math:`\bar{\mathbf{x}}` is the mean over the frames. :math:`\alpha` starts at zero. An edge of
    weight zero carries no message.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`, each with its own weights.
            (default: :obj:`1`)
        reduction (int): Input channels per channel of :math:`\mathbf{p}` and :math:`\mathbf{q}`,
            which have 8 channels if the input has at most 16. (default: :obj:`8`)
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

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_partitions: int = 1,
        reduction: int = 8,
        node_dim: int = -2,
    ) -> None:
        super().__init__(in_channels, out_channels, num_partitions, node_dim)
        self.rel_channels = 8 if in_channels <= 16 else max(in_channels // reduction, 1)
        self.relate = nn.Linear(in_channels, 2 * num_partitions * self.rel_channels)
        self.value = nn.Linear(in_channels, num_partitions * out_channels)
        # The maps r_k below one another: a linear layer only in how its weights are kept.
        self.refine = nn.Linear(self.rel_channels, num_partitions * out_channels)
        #: Of networks whose pruned channels are removed: the output channels of the kept maps u,
        #: and the part of constant u, from the relations summed over the neighbours.
        self.merge: Merge | None = None
        self.rest: nn.Linear | None = None
        self.alpha = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draws weights from normal distributions; biases and :math:`\alpha` start at zero."""
        super().reset_parameters()
        fan_out_(self.relate, groups=2 * self.num_partitions)
        fan_out_(self.value, groups=self.num_partitions)
        fan_out_(self.refine, groups=self.num_partitions)
        nn.init.zeros_(self.alpha)

    def all_pairs(self, x: Pair, prior: Tensor) -> Tensor:
        """Convolves with the refined graphs of all pairs, as batched matrix products."""
        weight, bias = self._refine()
        # Sources before targets, as the product takes them.
        prior = prior.transpose(1, 2).unsqueeze(1)
        gate = self.alpha * (prior != 0)
        # Everything that is the same for all persons, bias included: [K, C', V, W].
        shared = prior + gate * bias[:, :, None, None]
        # [K, R, P, V] each.
        source, target = both_ends(self._relations, x)
        relation = (source.unsqueeze(-1) - target.unsqueeze(-2)).tanh() * gate.unsqueeze(2)
        refined = (weight @ relation.flatten(2)).view(*weight.shape[:2], *relation.shape[2:])
        graph = refined + shared.unsqueeze(2)
        out = self.value(x[0]).permute(3, 0, 1, 2) @ graph.flatten(0, 1)
        if self.merge is None:
            out = out.permute(1, 2, 3, 0).unflatten(-1, (self.num_partitions, -1))
            # Features last again: what follows is slower on a mixture of memory orders.
            return out.sum(-2).contiguous()
        out = self.merge(out)
        if self.rest is None:
            return out
        # [P, W, K*R]: the relations, summed over the neighbours.
        sums = relation.sum(-2).permute(2, 3, 0, 1).flatten(2)
        return out + self.rest(sums).unsqueeze(1)

    def along_edges(self, x: Pair, edges: TypedEdges, prior: Tensor) -> Tensor:
        """Convolves with the refined weights of the edges."""
        self.check_whole(self.merge is None)
        # [P, V*K, R] each.
        source, target = both_ends(
            lambda x: self._relations(x).permute(0, 3, 4, 1, 2).flatten(2, 3), x
        )
        relation = (source[:, edges.typed_source] - target[:, edges.typed_target]).tanh()
        refined = self._refine_edges(relation, edges.kind)
        gate = self.alpha * (prior != 0)
        weight = prior[:, None] + gate[:, None] * refined
        sources = x[0].size(2) * self.num_partitions
        return self.propagate(
            torch.stack([edges.typed_source, edges.target]),
            x=(self.value(x[0]).view(*x[0].shape[:2], sources, self.out_channels), None),
            weight=weight.unsqueeze(1),
            size=(sources, x[1].size(2)),
        )

    def _refine_edges(self, relation: Tensor, kind: Tensor | None) -> Tensor:
        """The maps r of the relations ``[P, E, R]`` of edges, ``[P, E, C']``."""
        if kind is None:
            return self.refine(relation)
        weight, bias = (part[kind] for part in self._refine())
        return torch.einsum("eor,per->peo", weight, relation) + bias

    def _relations(self, x: Tensor) -> Tensor:
        """The maps p and q of the mean over the frames, ``[2, K, R, P, V]``."""
        mean = x.mean(1)
        if self.merge is not None:
            out = self.relate(mean).permute(2, 0, 1)
            return out.unflatten(0, (2, self.num_partitions, self.rel_channels))
        out = torch.addmm(self.relate.bias.unsqueeze(1), self.relate.weight, mean.flatten(0, 1).t())
        return out.view(2, self.num_partitions, self.rel_channels, *mean.shape[:2])

    def _refine(self) -> tuple[Tensor, Tensor]:
        """The weights ``[K, C', R]`` and biases ``[K, C']`` of the maps r."""
        weight = self.refine.weight.view(self.num_partitions, -1, self.rel_channels)
        return weight, self.refine.bias.view(self.num_partitions, -1)
