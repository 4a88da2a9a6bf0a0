"""Graphs whose edge weights are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import torch
from torch import Tensor, nn
from torch_geometric.typing import SparseTensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.nn.sparse_products import (
    check_device,
    check_product,
    has_products,
    warn_of_tracing,
)
from pyg_stgcn.skeletons import SkeletonGraph

ADAPTIVE = ("importance", "init")

# Density of the graph below which the sparse product is faster in training on a CPU; without
# gradients the dense one is at any density (measured in benchmarks/spatial_conv.py).
SPARSE_DENSITY = 0.02


class Adjacency(nn.Module):
    r"""A graph with one learnable number per edge, as the matrix of a graph product.

    With :obj:`adaptive="importance"` the partition is fixed and the number is the importance of an
    edge, 1 at the start: :math:`\bar{A}_e = A_e \cdot` :obj:`edge_weight`:math:`_e`. With
    :obj:`adaptive="init"` the graph is only the starting point:
    :math:`\bar{A}_e =` :obj:`edge_weight`:math:`_e`.

    The edges are kept in the order of the rows of the matrix, see :obj:`edge_index` and
    :obj:`edge_type`. A sparse matrix has all edges while gradients are recorded, so that pruned
    ones (weight zero) may grow again. Without gradients it has no pruned edges, and is built again
    only after the weights have changed; comparing them waits for a GPU.

    The matrix is dense while a model is compiled or exported.

    Args:
        graph (SkeletonGraph): The graph.
        adaptive (str): :obj:`"importance"` or :obj:`"init"`. (default: :obj:`"importance"`)
        graph_product (str): The kind of the matrix. :obj:`"sparse"` is for the product of
            torch-sparse, :obj:`"dense"` for that of torch. With :obj:`"auto"` it is dense, except
            for training on a CPU with a graph that is less than 2 % dense, where the sparse product
            was measured to be faster. (default: :obj:`"auto"`)

    Shapes:
        - **output:** :math:`(V K, V)`, a :class:`torch.Tensor` or a
          :class:`torch_sparse.SparseTensor`; the row :math:`w K + k` holds the weights of the
          messages that arrive at joint :math:`w` in partition :math:`k`

    Raises:
        InputError: If an option is none of its choices, or torch-sparse is not installed; in a
            forward pass, if it has no products on the device.
    """

    edge_index: Tensor
    edge_type: Tensor
    graph_weight: Tensor
    _place: Tensor

    def __init__(
        self, graph: SkeletonGraph, adaptive: str = "importance", graph_product: str = "auto"
    ) -> None:
        super().__init__()
        if adaptive not in ADAPTIVE:
            raise InputError(f"adaptive: {adaptive!r} is unknown; use one of {', '.join(ADAPTIVE)}")
        self.graph_product = graph_product
        self.num_joints = graph.num_joints
        self.num_partitions = graph.num_partitions
        self.adaptive = adaptive
        place, order = self._places(graph)
        self.register_buffer("_place", place, persistent=False)
        # Known here, so that a forward pass does not wait for a device.
        num_pairs = self.size[0] * self.size[1]
        self._all_pairs = torch.equal(place, torch.arange(num_pairs, device=place.device))
        self._edges = (*self.size, sha256(place.cpu().numpy().tobytes()).hexdigest())
        self.register_buffer("edge_index", graph.edge_index[:, order], persistent=False)
        self.register_buffer("edge_type", graph.edge_type[order], persistent=False)
        # The starting point of "init" is not needed once trained; a factor is.
        self.register_buffer(
            "graph_weight", graph.edge_weight[order], persistent=adaptive == "importance"
        )
        self.edge_weight = nn.Parameter(torch.empty_like(self.graph_weight))
        self._structure: SparseTensor | None = None
        self._built_from: Tensor | None = None
        self._built: SparseTensor | None = None
        self.reset_parameters()

    @property
    def graph_product(self) -> str:
        """The kind of the matrix, see above."""
        return self._graph_product

    @graph_product.setter
    def graph_product(self, graph_product: str) -> None:
        check_product(graph_product)
        self._graph_product = graph_product
        self._built = self._built_from = None

    @property
    def size(self) -> tuple[int, int]:
        """The size of the matrix."""
        return self.num_joints * self.num_partitions, self.num_joints

    def restart_from(self, graph: SkeletonGraph) -> None:
        """Takes the weights of another graph with the same edges as the start."""
        _, order = self._places(graph)
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
        """Builds the matrix from the current edge weights."""
        return self._matrix(self.weights())

    def weights(self) -> Tensor:
        r"""The current edge weights :math:`\bar{A}_e`, in the order of :obj:`edge_index`."""
        return self._scaled(self.edge_weight)

    def dense(self) -> Tensor:
        r"""The current edge weights :math:`\bar{A}` as in :meth:`by_partition`, with gradients."""
        return self.placed(self.weights())

    def placed(self, values: Tensor) -> Tensor:
        """One value per edge as in :meth:`by_partition`."""
        by_joint = self._dense(values).view(self.num_joints, self.num_partitions, self.num_joints)
        return by_joint.permute(1, 2, 0).contiguous()

    @torch.no_grad()
    def by_partition(self) -> Tensor:
        r"""The current edge weights :math:`\bar{A}` as a tensor of shape :math:`(K, V, V)`.

        The entry :math:`(k, v, w)` is the weight of the message from joint :math:`v` to joint
        :math:`w` in partition :math:`k`; edges that are pruned, or not in a partition, are zero.
        """
        return self.dense()

    def _scaled(self, edge_weight: Tensor) -> Tensor:
        return edge_weight * self.graph_weight if self.adaptive == "importance" else edge_weight

    def _matrix(self, weight: Tensor) -> Tensor | SparseTensor:
        if self._is_dense(weight):
            return self._dense(weight)
        if _is_recorded(weight):
            return self._with_pruned(weight)
        return self._without_pruned(weight.detach())

    def _is_dense(self, weight: Tensor) -> bool:
        """Whether the matrix is dense, whatever the weights are."""
        # torch.compile and torch.export do not trace torch-sparse.
        if torch.compiler.is_compiling():
            return self.graph_product != "sparse" or warn_of_tracing()
        if self.graph_product != "auto":
            return self.graph_product == "dense"
        if weight.device.type != "cpu" or not _is_recorded(weight):
            return True
        is_dense = weight.numel() >= SPARSE_DENSITY * self.size[0] * self.size[1]
        return is_dense or not has_products(weight.device)

    def _with_pruned(self, weight: Tensor) -> SparseTensor:
        if self._structure is None or self._structure.device() != weight.device:
            self._structure = self._sparse(weight.detach())
        return self._structure.set_value(weight, layout="coo")

    def _without_pruned(self, weight: Tensor) -> SparseTensor:
        # By value: a masked weight is a new tensor at every call, and tensors may be written
        # without a trace in their version counters.
        if self._built is None or not _may_stand_for(self._built_from, weight):
            self._built = self._sparse(weight, weight.nonzero().view(-1))
            self._built_from = weight.clone()
        return self._built

    def _sparse(self, weight: Tensor, kept: Tensor | None = None) -> SparseTensor:
        check_device(weight.device)
        place = self._place
        if kept is not None:
            place, weight = place[kept], weight[kept]
        matrix = SparseTensor(
            row=place // self.num_joints,
            col=place % self.num_joints,
            value=weight,
            sparse_sizes=self.size,
            is_sorted=True,
        )
        # Once here instead of once in every product, forward and backward.
        return matrix.fill_cache_()

    def _dense(self, weight: Tensor) -> Tensor:
        """The weights ``[*, E]`` in their places, ``[*, V*K, V]``."""
        if not self._all_pairs:
            matrix = weight.new_zeros(*weight.shape[:-1], self.size[0] * self.size[1])
            weight = matrix.index_add_(-1, self._place, weight)
        return weight.unflatten(-1, self.size)

    def _places(self, graph: SkeletonGraph) -> tuple[Tensor, Tensor]:
        """The places of the edges in the matrix, read row by row, and the order of the edges."""
        row = graph.edge_index[1] * self.num_partitions + graph.edge_type
        place, order = (row * self.num_joints + graph.edge_index[0]).sort(stable=True)
        return place, order

    def extra_repr(self) -> str:
        """Shows the size of the graph."""
        return (
            f"num_joints={self.num_joints}, num_partitions={self.num_partitions}, "
            f"num_edges={self.edge_type.numel()}, adaptive={self.adaptive!r}"
        )


def build_matrices(
    graphs: Sequence[Adjacency], by_source: bool = False
) -> list[Tensor | SparseTensor]:
    r"""Builds the matrices of several graphs, as each of them would on its own.

    Dense matrices of graphs with the same edges, as the stages of a backbone have, are built
    together: a handful of operations for all stages instead of a handful for each.

    Args:
        graphs (sequence of Adjacency): The graphs.
        by_source (bool): If set to :obj:`True`, dense matrices are :math:`(V, V K)`: the column
            :math:`v K + k` holds the weights of the messages that joint :math:`v` sends in
            partition :math:`k`. (default: :obj:`False`)

    Shapes:
        - **output:** one matrix :math:`(V K, V)` per graph

    Example:
        >>> graphs = [Adjacency(get_skeleton("ntu25").graph("spatial")) for _ in range(10)]
        >>> [tuple(matrix.shape) for matrix in build_matrices(graphs)][:2]
        [(75, 25), (75, 25)]
    """
    # Once: a mask makes a new tensor at every access.
    weights: list[Tensor] = [graph.edge_weight for graph in graphs]
    pairs = list(zip(graphs, weights, strict=True))
    kinds = [(g._edges, g.adaptive, w.device, w.dtype) for g, w in pairs]
    alike = len(pairs) > 1 and kinds[1:] == kinds[:-1]
    if not alike or not all(graph._is_dense(weight) for graph, weight in pairs):
        matrices = [graph._matrix(graph._scaled(weight)) for graph, weight in pairs]
        if not by_source:
            return matrices
        return [_by_source(m) if isinstance(m, Tensor) else m for m in matrices]
    stacked = torch.stack(weights)
    if graphs[0].adaptive == "importance":
        stacked = stacked * torch.stack([graph.graph_weight for graph in graphs])
    dense = graphs[0]._dense(stacked)
    return list((_by_source(dense) if by_source else dense).unbind())


def _by_source(matrices: Tensor) -> Tensor:
    """The entries ``[*, V*K, V]`` as ``[*, V, V*K]``, see :func:`build_matrices`."""
    num_joints = matrices.size(-1)
    return matrices.unflatten(-2, (num_joints, -1)).transpose(-1, -2).flatten(-2)


def edge_strength(model: nn.Module) -> Tensor:
    r"""The mean of :math:`|\bar{A}_e|` over all graphs of a model and all their partitions.

    Edges that are pruned, or not in a partition, count as zero.

    Args:
        model (torch.nn.Module): A model with an :class:`Adjacency` in every stage.

    Shapes:
        - **output:** :math:`(V, V)`, from joint :math:`v` (row) to joint :math:`w` (column)

    Raises:
        InputError: If the model has no such graph.
    """
    graphs = [module for module in model.modules() if isinstance(module, Adjacency)]
    if not graphs:
        raise InputError(f"{type(model).__name__}: has no learnt graph; give a model of joints")
    return torch.stack([graph.by_partition().abs().mean(dim=0) for graph in graphs]).mean(dim=0)


def _is_recorded(weight: Tensor) -> bool:
    return torch.is_grad_enabled() and weight.requires_grad


def _may_stand_for(built_from: Tensor | None, weight: Tensor) -> bool:
    if built_from is None or built_from.dtype != weight.dtype:
        return False
    if built_from.device != weight.device:
        return False
    # What inference mode has made cannot take part in a backward pass later.
    if built_from.is_inference() and not torch.is_inference_mode_enabled():
        return False
    return torch.equal(built_from, weight)
