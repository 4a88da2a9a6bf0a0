"""The adaptive graph convolution of AAGCN, on any PyG graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyg_stgcn.nn.conv.adaptive import AdaptiveGraphConv, both_ends
from pyg_stgcn.nn.conv.graph_input import TypedEdges
from pyg_stgcn.nn.conv.partitioned import Pair
from pyg_stgcn.nn.conv.st_graph_conv import map_by_partition
from pyg_stgcn.nn.features_last import map_channels
from pyg_stgcn.nn.init import fan_out_


class AAGraphConv(AdaptiveGraphConv):
    r"""The adaptive graph convolution of the `"Skeleton-Based Action Recognition with Multi-Stream
    Adaptive Graph Convolutional Networks" <https://arxiv.org/abs/1912.06971>`_ paper.

    .. math::
        \mathbf{x}^{\prime}_{tw} = \sum_{k=1}^{K} \mathbf{W}_k \sum_{v \in \mathcal{N}_k(w)}
        \left( A_{kvw} + \alpha S_{kvw} \right) \mathbf{x}_{tv} + \mathbf{b}_k, \qquad
        S_{kvw} = \tanh \Big( \frac{1}{E T} \sum_{t}
        \mathbf{a}_{k}(\mathbf{x}_{tv})^{\top} \mathbf{b}_{k}(\mathbf{x}_{tw}) \Big)

    where :math:`A_{kvw}` is the prior weight of an edge, and its similarity :math:`S_{kvw}`, of
    linear embeddings :math:`\mathbf{a}_k, \mathbf{b}_k` over all :math:`T` frames, differs from
    sample to sample. :math:`\alpha` starts at zero. An edge of weight zero carries no message.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`, each with its own weights.
            (default: :obj:`1`)
        reduction (int): Output channels per channel of the embeddings. (default: :obj:`4`)
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
        reduction: int = 4,
        node_dim: int = -2,
    ) -> None:
        super().__init__(in_channels, out_channels, num_partitions, node_dim)
        self.embed_channels = max(out_channels // reduction, 1)
        self.embed = nn.Linear(in_channels, 2 * num_partitions * self.embed_channels)
        self.weight = nn.Parameter(torch.empty(out_channels, num_partitions * in_channels))
        self.bias = nn.Parameter(torch.empty(num_partitions * out_channels))
        #: A bias of the messages, of networks whose pruned channels are removed.
        self.register_parameter("message_bias", None)
        self.alpha = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draws weights from normal distributions; biases and :math:`\alpha` start at zero."""
        super().reset_parameters()
        fan_out_(self.embed, groups=2 * self.num_partitions)
        nn.init.normal_(self.weight, std=(2 / self.weight.numel()) ** 0.5)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.alpha)

    def all_pairs(self, x: Pair, prior: Tensor) -> Tensor:
        """Convolves with the similarities of all pairs, as batched matrix products."""
        # [P, K, V, T*E] each.
        source, target = both_ends(
            lambda x: self._embeddings(x).permute(3, 0, 4, 2, 1, 5).flatten(4), x
        )
        similarity = (target @ source.transpose(2, 3) / source.size(-1)).tanh()
        # Targets before partitions, as the rows of the product.
        prior = prior.transpose(0, 1)
        graph = prior + self.alpha * (similarity.transpose(1, 2) * (prior != 0))
        if self.message_bias is not None or self.out_channels < self.in_channels:
            value = map_by_partition(x[0], self.weight, self.message_bias, self.num_partitions)
            rows = graph.transpose(2, 3).flatten(2).unsqueeze(1)
            return rows @ value + self._bias()
        return self._linear(graph.flatten(1, 2).unsqueeze(1) @ x[0])

    def along_edges(self, x: Pair, edges: TypedEdges, prior: Tensor) -> Tensor:
        """Convolves with the similarities of the edges' ends."""
        self.check_whole(self.message_bias is None)
        # [P, T, V*K, E] each.
        source, target = both_ends(
            lambda x: self._embeddings(x).permute(3, 0, 1, 2, 4, 5).flatten(3, 4), x
        )
        products = source[:, :, edges.typed_source] * target[:, :, edges.typed_target]
        similarity = products.mean((1, 3)).tanh()
        weight = prior + self.alpha * (prior != 0) * similarity
        out = self.propagate(
            torch.stack([edges.source, edges.typed_target]),
            x=(x[0], None),
            weight=weight[:, None, :, None],
            size=(x[0].size(2), x[1].size(2) * self.num_partitions),
        )
        return self._linear(out)

    def _embeddings(self, x: Tensor) -> Tensor:
        """Both embeddings of all partitions, ``[P, T, V, 2, K, E]``."""
        embeddings = map_channels(x, self.embed.weight, self.embed.bias)
        return embeddings.view(*x.shape[:3], 2, self.num_partitions, self.embed_channels)

    def _linear(self, z: Tensor) -> Tensor:
        """Maps the K aggregated features of every joint, ``[P, T, V*K, C]``, to the output."""
        nodes = z.size(2) // self.num_partitions
        rows = z.reshape(*z.shape[:2], nodes, self.weight.size(1))
        return map_channels(rows, self.weight, self._bias())

    def _bias(self) -> Tensor:
        return self.bias.view(-1, self.out_channels).sum(0)
