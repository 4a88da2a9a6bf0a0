"""The spatial graph convolution of ST-GCN, on any PyG graph."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.inits import uniform
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, SparseTensor, torch_sparse
from torch_geometric.utils import scatter

from pyg_stgcn.nn.conv.graph_input import GraphShape, TypedEdges, in_precision_of
from pyg_stgcn.nn.conv.map_first import MapFirst, convolve_map_first, partitions_first
from pyg_stgcn.nn.conv.partitioned import Pair, PartitionedGraphConv
from pyg_stgcn.nn.sparse_products import sparse_product

# Batched products of matrices with fewer columns than this are slower than one wide product with
# the joints first, the two transposes included (measured in benchmarks/spatial_conv.py).
_MIN_BATCHED_CHANNELS = 8


def graph_product(x: Tensor, adj: Tensor | SparseTensor) -> Tensor:
    r"""Multiplies every frame's joint features by one matrix.

    Args:
        x (torch.Tensor): The features.
        adj (torch.Tensor or SparseTensor): The matrix.

    Shapes:
        - **x:** :math:`(*, V, C)`, **adj:** :math:`(R, V)`
        - **output:** :math:`(*, R, C)`
    """
    if isinstance(adj, SparseTensor):
        return sparse_product(x, adj)
    *lead, num_joints, channels = x.shape
    frames = x.reshape(-1, num_joints, channels)
    if channels < _MIN_BATCHED_CHANNELS:
        wide = adj @ frames.transpose(0, 1).reshape(num_joints, -1)
        out = wide.view(adj.size(0), -1, channels).transpose(0, 1)
    else:
        out = torch.bmm(adj.expand(frames.size(0), -1, -1), frames)
    return out.reshape(*lead, adj.size(0), channels)


def st_graph_conv(
    x: Tensor, adj: Tensor | SparseTensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    r""":class:`STGraphConv` as a function: first the graph product, then one linear map.

    Args:
        x (torch.Tensor): The features.
        adj (torch.Tensor or SparseTensor): All partitions of the graph; the row
            :math:`w \cdot K + k` holds the messages that arrive at :math:`w` in partition
            :math:`k`.
        weight (torch.Tensor): The weights of all partitions side by side.
        bias (torch.Tensor, optional): One bias per partition and output channel.

    Shapes:
        - **x:** :math:`(*, V, C)`, **adj:** :math:`(V K, V)`, **weight:** :math:`(C', K C)`,
          **bias:** :math:`(K C')`
        - **output:** :math:`(*, V, C')`
    """
    return _partition_linear(graph_product(x, adj), _row_sum(adj, bias), weight, bias)


def _row_sum(adj: Tensor | SparseTensor, bias: Tensor | None) -> Tensor | None:
    if bias is None or bias.dim() == 2:
        return None
    if isinstance(adj, SparseTensor):
        return torch_sparse.sum(adj, dim=1).to(bias.dtype)
    return adj.sum(dim=1)


def _partition_linear(
    z: Tensor, arriving: Tensor | None, weight: Tensor, bias: OptTensor
) -> Tensor:
    """Maps the K aggregated features of every joint, ``z [..., V*K, C]``, to ``[..., V, C']``."""
    num_partitions = weight.size(1) // z.size(-1)
    out = F.linear(z.reshape(*z.shape[:-2], -1, weight.size(1)), weight)
    return _add_bias(out, arriving, bias, num_partitions)


def _add_bias(out: Tensor, arriving: OptTensor, bias: OptTensor, num_partitions: int) -> Tensor:
    """Adds the bias of every partition as often as its messages arrive, or that of every node."""
    if bias is not None and bias.dim() == 2:
        return out + bias
    if bias is None or arriving is None:
        return out
    return out + arriving.view(-1, num_partitions) @ bias.view(num_partitions, -1)


def map_by_partition(x: Tensor, weight: Tensor, bias: OptTensor, num_partitions: int) -> Tensor:
    r"""Maps the features of every node to its messages in all partitions.

    Args:
        x (torch.Tensor): The features.
        weight (torch.Tensor): The weights of all partitions side by side.
        bias (torch.Tensor, optional): One bias per partition and output channel.
        num_partitions (int): Number of partitions :math:`K`.

    Shapes:
        - **x:** :math:`(*, V, C)`, **weight:** :math:`(C', K C)`, **bias:** :math:`(K C')`
        - **output:** :math:`(*, V K, C')`
    """
    channels = weight.size(0)
    value = F.linear(x, partitions_first(weight, num_partitions), bias)
    return value.reshape(*x.shape[:-2], x.size(-2) * num_partitions, channels)


class STGraphConv(PartitionedGraphConv):
    r"""The partitioned graph convolution of the `"Spatial Temporal Graph Convolutional Networks for
    Skeleton-Based Action Recognition" <https://arxiv.org/abs/1801.07455>`_ paper.

    .. math::
        \mathbf{x}^{\prime}_w = \sum_{k=1}^{K} \sum_{v \in \mathcal{N}_k(w)} A_{kvw}
        \left( \mathbf{W}_k \mathbf{x}_v + \mathbf{b}_k \right)

    where :math:`\mathcal{N}_k(w)` are the sources of the edges of type :math:`k` that end in
    :math:`w`, and :math:`A_{kvw}` is the edge weight (default: :obj:`1`). All dimensions before the
    last two (persons, frames) share the graph.

    The bias is part of the message, as in the reference implementation: it is weighted like the
    features, and a node without incoming edges gets zero. With :obj:`bias=False` there is none.

    The sum over the neighbours is taken first and one linear map of the :math:`K` sums follows,
    which is the same and costs a product of :math:`C` instead of :math:`K C'` channels with the
    graph. If there are fewer output than input channels, a dense matrix comes after the map.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`, each with its own weights.
            (default: :obj:`1`)
        bias (bool): If set to :obj:`False`, messages have no bias. (default: :obj:`True`)
        node_dim (int): The dimension of the nodes in input and output: :obj:`0` for the clips of
            the datasets, :math:`(V, T, C)`. (default: :obj:`-2`)

    Shapes:
        - **input:** node features :math:`(*, V, C)` or a pair of them
          :math:`((*, V_s, C), (*, V_t, *))`, edge indices :math:`(2, E)`, edge weights
          :math:`(E)` *(optional)*, edge types :math:`(E)`; or, in place of the three, one matrix
          :math:`(V K, V)`, a :class:`torch_sparse.SparseTensor` or a sparse
          :class:`torch.Tensor` as :obj:`edge_index` or a dense one as :obj:`dense_adj`, whose row
          :math:`w K + k` holds the weights :math:`A_{k \cdot w}` (for :math:`K = 1` this is the
          transposed adjacency matrix :obj:`adj_t`)
        - **output:** node features :math:`(*, V, C')`

    Example:
        >>> conv = STGraphConv(16, 32)
        >>> edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]])
        >>> conv(torch.randn(3, 16), edge_index).shape
        torch.Size([3, 32])
        >>> conv(torch.randn(50, 3, 16), edge_index).shape  # 50 frames
        torch.Size([50, 3, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_partitions: int = 1,
        bias: bool = True,
        node_dim: int = -2,
    ) -> None:
        super().__init__(in_channels, out_channels, num_partitions, node_dim)
        self.weight = nn.Parameter(torch.empty(out_channels, num_partitions * in_channels))
        if bias:
            self.bias = nn.Parameter(torch.empty(num_partitions * out_channels))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draws weights and biases from :math:`U(-1/\sqrt{C}, 1/\sqrt{C})`."""
        super().reset_parameters()
        uniform(self.in_channels, self.weight)
        uniform(self.in_channels, self.bias)

    def forward(
        self,
        x: Tensor | Pair,
        edge_index: Adj | MapFirst | None = None,
        edge_weight: OptTensor = None,
        edge_type: OptTensor = None,
        dense_adj: OptTensor = None,
    ) -> Tensor:
        """Convolves the features with the graph, see :meth:`PartitionedGraphConv.forward`.

        A model on a GPU gives the graph together with the weights as :class:`MapFirst`.
        """
        if isinstance(edge_index, MapFirst):
            bias = None if self._has_node_bias else self.bias
            return self._add_node_bias(convolve_map_first(cast(Tensor, x), edge_index, bias))
        return super().forward(x, edge_index, edge_weight, edge_type, dense_adj)

    @property
    def maps_first(self) -> bool:
        """Whether the linear map comes before the product with a dense matrix: the product then
        has fewer channels.
        """
        return self.out_channels < self.in_channels

    def convolve_dense(self, x: Pair, adj: Tensor) -> Tensor:
        """Convolves features with a dense matrix."""
        if self.maps_first:
            rows = adj.view(-1, self.num_partitions, adj.size(1)).transpose(1, 2)
            return self._add_node_bias(graph_product(self._messages(x[0]), rows.flatten(1)))
        return self._map(graph_product(x[0], adj), _row_sum(adj, self.bias))

    def convolve_sparse(self, x: Pair, adj: Adj, shape: GraphShape) -> Tensor:
        """Convolves features with a sparse matrix, with one product if torch-sparse holds it."""
        if not isinstance(adj, SparseTensor):
            return super().convolve_sparse(x, adj, shape)
        if adj.has_value():
            adj = adj.set_value(in_precision_of(adj.storage.value(), x[0]), layout="coo")
        return self._transform(x, adj, None, _row_sum(adj, self.bias))

    def convolve_edges(self, x: Pair, edges: TypedEdges) -> Tensor:
        """Convolves features along edges."""
        if self.explain:
            return self._convolve_messages(x, edges)
        target, arriving = edges.typed_target, None
        if self.bias is not None and not self._has_node_bias:
            weight = edges.weight
            weight = x[0].new_ones(target.numel()) if weight is None else weight
            size = x[1].size(-2) * self.num_partitions
            arriving = scatter(weight, target, dim_size=size)
        index = torch.stack([edges.source, target])
        return self._transform(x, index, edges.weight, arriving)

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        """The features at the source of every edge, times its weight."""
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(self, edge_index: Adj, x: OptPairTensor) -> Tensor:
        """All messages and their sums as one sparse product."""
        return graph_product(x[0], edge_index)

    def _transform(
        self, x: Pair, edge_index: Adj, edge_weight: OptTensor, arriving: OptTensor
    ) -> Tensor:
        """Sums the features at the target nodes, every one split into K, and maps the sums."""
        # propagate_type: (x: OptPairTensor, edge_weight: OptTensor)
        out = self.propagate(
            edge_index,
            x=(x[0], None),
            edge_weight=edge_weight,
            size=(x[0].size(-2), x[1].size(-2) * self.num_partitions),
        )
        return self._map(out, arriving)

    def _map(self, z: Tensor, arriving: OptTensor) -> Tensor:
        """Maps the sums and adds the biases that arrive with them."""
        return _add_bias(self._linear(z), arriving, self.bias, self.num_partitions)

    def _linear(self, z: Tensor) -> Tensor:
        """Maps the K sums of every joint, ``[..., V*K, C]``, to ``[..., V, C']``."""
        nodes = z.size(-2) // self.num_partitions
        return F.linear(z.reshape(*z.shape[:-2], nodes, self.weight.size(1)), self.weight)

    def _convolve_messages(self, x: Pair, edges: TypedEdges) -> Tensor:
        """Convolves as the formula says: one message per edge, with its bias, for PyG to mask."""
        value = self._messages(x[0])
        sources = value.size(-2)
        out = self.propagate(
            torch.stack([edges.typed_source, edges.target]),
            x=(value, None),
            edge_weight=edges.weight,
            size=(sources, x[1].size(-2)),
        )
        return self._add_node_bias(out)

    def _messages(self, x: Tensor) -> Tensor:
        """The messages of every node in all partitions, ``[..., V*K, C']``."""
        bias = None if self._has_node_bias else self.bias
        return map_by_partition(x, self.weight, bias, self.num_partitions)

    def _add_node_bias(self, out: Tensor) -> Tensor:
        return out + self.bias if self._has_node_bias else out

    @property
    def _has_node_bias(self) -> bool:
        """Whether every node has a bias of its own: what arrives is added up already."""
        return self.bias is not None and self.bias.dim() == 2
