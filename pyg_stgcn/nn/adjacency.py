"""Graphs whose edge weights are learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.typing import WITH_TORCH_SPARSE, SparseTensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeleton import SkeletonGraph

ADAPTIVE = ("importance", "init")

# Share of the K*V*V possible edges below which the sparse product wins on a CPU (measured in
# benchmarks/spatial_conv.py).
SPARSE_DENSITY = 0.06


class Adjacency(nn.Module):
    r"""A graph with one learnable number per edge, as the matrix of a graph product.

    With :obj:`adaptive="importance"` the partition is fixed and the number is the importance of an
    edge, 1 at the start: :math:`\bar{A}_e = A_e \cdot` :obj:`edge_weight`:math:`_e`. With
    :obj:`adaptive="init"` the graph is only the starting point:
    :math:`\bar{A}_e =` :obj:`edge_weight`:math:`_e`.

    The edges are kept in the order of the rows of the matrix, see :obj:`edge_index` and
    :obj:`edge_type`. The matrix is sparse where the graph is sparse enough for the sparse product
    to be faster. While gradients are recorded every edge takes part, so that pruned ones (weight
    zero) may come back; without gradients they are left out, and the matrix is built anew only
    after the weights have changed.

    Args:
        graph (SkeletonGraph): The graph.
        adaptive (str): :obj:`"importance"` or :obj:`"init"`. (default: :obj:`"importance"`)

    Shapes:
        - **output:** :math:`(V K, V)`, a :class:`torch.Tensor` or a
          :class:`torch_sparse.SparseTensor`; the row :math:`w K + k` holds the weights of the
          messages that arrive at joint :math:`w` in partition :math:`k`

    Raises:
        InputError: If :obj:`adaptive` is neither of the two.
    """

    edge_index: Tensor
    edge_type: Tensor
    graph_weight: Tensor

    def __init__(self, graph: SkeletonGraph, adaptive: str = "importance") -> None:
        super().__init__()
        if adaptive not in ADAPTIVE:
            raise InputError(f"adaptive: {adaptive!r} is unknown; use one of {', '.join(ADAPTIVE)}")
        self.num_joints = graph.num_joints
        self.num_partitions = graph.num_partitions
        self.adaptive = adaptive
        order = _flat_index(graph.edge_index, graph.edge_type, self.size).argsort(stable=True)
        self.register_buffer("edge_index", graph.edge_index[:, order], persistent=False)
        self.register_buffer("edge_type", graph.edge_type[order], persistent=False)
        # The starting point of "init" is not needed once trained; a factor is.
        self.register_buffer(
            "graph_weight", graph.edge_weight[order], persistent=adaptive == "importance"
        )
        self.edge_weight = nn.Parameter(torch.empty_like(self.graph_weight))
        self._structure: SparseTensor | None = None
        self._built_from: Tensor | None = None
        self._built: Tensor | SparseTensor | None = None
        self.reset_parameters()

    @property
    def size(self) -> tuple[int, int]:
        """The size of the matrix."""
        return self.num_joints * self.num_partitions, self.num_joints

    def restart_from(self, graph: SkeletonGraph) -> None:
        """Takes the weights of another graph with the same edges as the start."""
        order = _flat_index(graph.edge_index, graph.edge_type, self.size).argsort(stable=True)
        self.graph_weight.copy_(graph.edge_weight[order])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the edge weights to their start: 1, or the weights of the graph."""
        with torch.no_grad():
            if self.adaptive == "importance":
                self.edge_weight.fill_(1)
            else:
                self.edge_weight.copy_(self.graph_weight)

    def forward(self) -> Tensor | SparseTensor:
        """Builds the matrix from the present edge weights."""
        weight = self.edge_weight
        if self.adaptive == "importance":
            weight = weight * self.graph_weight
        if not _is_sparse_device(weight):
            return self._dense(weight)
        if torch.is_grad_enabled() and weight.requires_grad:
            return self._matrix(weight)
        return self._without_pruned(weight.detach())

    def _matrix(self, weight: Tensor) -> Tensor | SparseTensor:
        if weight.numel() >= self._max_sparse_edges:
            return self._dense(weight)
        if self._structure is None:
            self._structure = self._sparse(weight.detach())
        return self._structure.set_value(weight, layout="coo")

    def _without_pruned(self, weight: Tensor) -> Tensor | SparseTensor:
        # By value: a masked weight is a new tensor at every call, and tensors may be written
        # without a trace in their version counters.
        if self._built is None or self._built_from is None or not _same(self._built_from, weight):
            kept = weight.nonzero().view(-1)
            if kept.numel() >= self._max_sparse_edges:
                self._built = self._dense(weight)
            else:
                self._built = self._sparse(weight, kept)
            self._built_from = weight.clone()
        return self._built

    @property
    def _max_sparse_edges(self) -> float:
        return SPARSE_DENSITY * self.size[0] * self.size[1]

    def _sparse(self, weight: Tensor, kept: Tensor | None = None) -> SparseTensor:
        edge_index, edge_type = self.edge_index, self.edge_type
        if kept is not None:
            edge_index, edge_type, weight = edge_index[:, kept], edge_type[kept], weight[kept]
        return SparseTensor(
            row=edge_index[1] * self.num_partitions + edge_type,
            col=edge_index[0],
            value=weight,
            sparse_sizes=self.size,
            is_sorted=True,
        )

    def _dense(self, weight: Tensor) -> Tensor:
        rows, columns = self.size
        index = _flat_index(self.edge_index, self.edge_type, self.size)
        return weight.new_zeros(rows * columns).index_add(0, index, weight).view(rows, columns)

    def extra_repr(self) -> str:
        """Shows the size of the graph."""
        return (
            f"num_joints={self.num_joints}, num_partitions={self.num_partitions}, "
            f"num_edges={self.edge_type.numel()}, adaptive={self.adaptive!r}"
        )


def _flat_index(edge_index: Tensor, edge_type: Tensor, size: tuple[int, int]) -> Tensor:
    """The place of every edge in the matrix, read row by row."""
    rows, columns = size
    return (edge_index[1] * (rows // columns) + edge_type) * columns + edge_index[0]


def _is_sparse_device(weight: Tensor) -> bool:
    return WITH_TORCH_SPARSE and weight.device.type == "cpu"


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)
