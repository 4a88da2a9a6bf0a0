"""The spatial graph convolution of ST-GCN, on any PyG graph."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.nn.inits import uniform
from torch_geometric.typing import Adj, OptPairTensor, OptTensor, SparseTensor, torch_sparse
from torch_geometric.utils import scatter

from pyg_stgcn.nn.conv.graph_checks import check_edges, check_matrix

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
        return torch_sparse.matmul(adj, x)
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
    if bias is None:
        return None
    return torch_sparse.sum(adj, dim=1) if isinstance(adj, SparseTensor) else adj.sum(dim=1)


def _partition_linear(
    z: Tensor, arriving: Tensor | None, weight: Tensor, bias: OptTensor
) -> Tensor:
    """Maps the K aggregated features of every joint, ``z [..., V*K, C]``, to ``[..., V, C']``."""
    num_partitions = weight.size(1) // z.size(-1)
    out = F.linear(z.reshape(*z.shape[:-2], -1, weight.size(1)), weight)
    if bias is None or arriving is None:
        return out
    joint_bias = arriving.view(-1, num_partitions) @ bias.view(num_partitions, -1)
    return out + joint_bias


class STGraphConv(MessagePassing):
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
    graph.

    Args:
        in_channels (int): Size of each input feature :math:`C`.
        out_channels (int): Size of each output feature :math:`C'`.
        num_partitions (int): Number of edge types :math:`K`, each with its own weights.
            (default: :obj:`1`)
        bias (bool): If set to :obj:`False`, messages have no bias. (default: :obj:`True`)

    Shapes:
        - **input:** node features :math:`(*, V, C)`, edge indices :math:`(2, E)`, edge weights
          :math:`(E)` *(optional)*, edge types :math:`(E)`; or, in place of the three, one matrix
          :math:`(V K, V)`, a :class:`torch_sparse.SparseTensor` as :obj:`edge_index` or a dense
          one as :obj:`dense_adj`, whose row :math:`w K + k` holds the weights
          :math:`A_{k \cdot w}` (for :math:`K = 1` this is the transposed adjacency matrix
          :obj:`adj_t`)
        - **output:** node features :math:`(*, V, C')`
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_partitions: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(aggr="add", node_dim=-2)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.num_partitions = num_partitions
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
        x: Tensor,
        edge_index: Adj | None = None,
        edge_weight: OptTensor = None,
        edge_type: OptTensor = None,
        dense_adj: OptTensor = None,
    ) -> Tensor:
        """Convolves the features of every frame with the graph.

        Args:
            x (torch.Tensor): The node features.
            edge_index (torch.Tensor or SparseTensor): The edges (row 0 source, row 1 target), or
                the whole graph as one sparse matrix, see above.
            edge_weight (torch.Tensor, optional): The edge weights.
            edge_type (torch.Tensor, optional): The partition of every edge; needed if
                :obj:`num_partitions` is not 1.
            dense_adj (torch.Tensor, optional): The whole graph as one dense matrix, see above,
                instead of the edges.

        Raises:
            InputError: If there is no graph or more than one, the edge types are missing, or the
                matrix has the wrong size.
        """
        num_nodes = x.size(-2)
        if dense_adj is not None:
            check_matrix(
                dense_adj, num_nodes, self.num_partitions, edge_index, edge_weight, edge_type
            )
            return st_graph_conv(x, dense_adj, self.weight, self.bias)
        if isinstance(edge_index, SparseTensor):
            check_matrix(edge_index, num_nodes, self.num_partitions, edge_weight, edge_type)
            arriving = _row_sum(edge_index, self.bias)
        else:
            edge_index = check_edges(edge_index, edge_type, self.num_partitions)
            edge_index, arriving = self._typed_edges(x, edge_index, edge_weight, edge_type)
        # propagate_type: (x: OptPairTensor, edge_weight: OptTensor)
        out = self.propagate(
            edge_index,
            x=(x, None),
            edge_weight=edge_weight,
            size=(num_nodes, num_nodes * self.num_partitions),
        )
        return _partition_linear(out, arriving, self.weight, self.bias)

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        """The features at the source of every edge, times its weight."""
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(self, edge_index: Adj, x: OptPairTensor) -> Tensor:
        """All messages and their sums as one sparse product."""
        return graph_product(x[0], edge_index)

    def _typed_edges(
        self, x: Tensor, edge_index: Tensor, edge_weight: OptTensor, edge_type: OptTensor
    ) -> tuple[Tensor, OptTensor]:
        """Splits every target node into K, one per partition; also sums the features there."""
        target = edge_index[1]
        if edge_type is not None:
            target = target * self.num_partitions + edge_type
        arriving = None
        if self.bias is not None:
            weight = x.new_ones(edge_index.size(1)) if edge_weight is None else edge_weight
            if self.explain:  # The bias is part of the message, which PyG masks.
                weight = self.explain_message(weight.view(-1, 1), None).view(-1)
            arriving = scatter(weight, target, dim_size=x.size(-2) * self.num_partitions)
        return torch.stack([edge_index[0], target]), arriving

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}({self.in_channels}, {self.out_channels}, "
            f"num_partitions={self.num_partitions})"
        )
