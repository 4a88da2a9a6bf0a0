"""The layers of a compiled model: thin modules around the kernels' operators."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.runtime.graphs import ell_graph, graph_entries
from pyg_stgcn.runtime.lanes import LANES, num_blocks
from pyg_stgcn.runtime.sparse_weights import (
    GROUP,
    compress,
    identity_weights,
    maps_first,
    single_weights,
)

_ops = torch.ops.pyg_stgcn


class SparseConv(nn.Module):
    r"""A convolution over time (of one frame: a linear map), batch norm, residual and ReLU.

    Args:
        weight (torch.Tensor): The weights by output channel, frame and input channel.
        bias (torch.Tensor): The bias.
        stride (int): Step from one output frame to the next. (default: :obj:`1`)
        padding (int): Frames of zeros around the input. (default: :obj:`0`)
        relu (bool): Whether ReLU comes at the end. (default: :obj:`False`)
        halo (int): Frames of zeros around the output. (default: :obj:`0`)
        group (int): Input channels that are worked on together. (default: those of a tile of eight
            frames that stay in the cache)

    Shapes:
        - **weight:** :math:`(C', S, C)`, **bias:** :math:`(C')`
        - **input:** features of C channels; the residual: of C' channels
        - **output:** features of C' channels
    """

    starts: Tensor
    offsets: Tensor
    values: Tensor
    bias: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        stride: int = 1,
        padding: int = 0,
        relu: bool = False,
        halo: int = 0,
        group: int = GROUP,
    ) -> None:
        super().__init__()
        self.rows, self.span, self.in_channels = weight.shape
        entries = compress(weight, group)
        self.register_buffer("starts", entries.starts)
        self.register_buffer("offsets", entries.offsets)
        self.register_buffer("values", entries.values)
        self.register_buffer("bias", bias.float().contiguous())
        self.groups = entries.groups
        self.block = entries.block
        self.stride = stride
        self.padding = padding
        self.relu = relu
        self.halo = halo

    def num_frames(self, x: Tensor) -> int:
        """Output frames for an input."""
        return (x.size(2) - self.span) // self.stride + 1

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Convolves over time."""
        return _ops.conv.default(*self._arguments(x), residual, self.halo, self.rows)

    def widened(self, x: Tensor, channels: int) -> Tensor:
        """Convolves into the first of ``channels`` channels; the caller fills the others."""
        return _ops.conv.default(*self._arguments(x), None, self.halo, channels)

    def into(self, x: Tensor, out: Tensor, channel: int) -> None:
        """Convolves into the channels of ``out`` from ``channel`` on."""
        _ops.conv_into.default(*self._arguments(x), out, self.halo, channel, False)

    def onto(self, x: Tensor, residual: Tensor) -> Tensor:
        """Convolves in the memory of the residual: less memory in the cache."""
        _ops.conv_into.default(*self._arguments(x), residual, self.halo, 0, True)
        return residual

    def of_rows(self, x: Tensor) -> Tensor:
        """Maps rows ``[R, C]`` to ``[R, C']``; of one frame, without stride, padding and ReLU."""
        if x.stride(-1) != 1:
            x = x.contiguous()
        return _ops.linear.default(
            x, self.starts, self.offsets, self.values, self.bias, self.groups, self.block
        )

    def _arguments(self, x: Tensor) -> tuple[object, ...]:
        return (
            x,
            self.starts,
            self.offsets,
            self.values,
            self.bias,
            self.groups,
            self.block,
            self.stride,
            self.num_frames(x),
            self.relu,
        )

    def extra_repr(self) -> str:
        """Shows size and density."""
        kept = int(self.values.count_nonzero()) / max(self.rows * self.span * self.in_channels, 1)
        kernel = "rows" if self.block == 1 else "blocks"
        return (
            f"{self.in_channels}, {self.rows}, span={self.span}, stride={self.stride}, "
            f"density={kept:.3f}, kernel={kernel!r}"
        )


class SparseGraphConv(nn.Module):
    r"""A sparse map of the channels to K partitions, and the sum over the edges of each.

    Both in one pass, or in two passes where that is faster, see
    :func:`~pyg_stgcn.runtime.sparse_weights.maps_first`.

    .. math::
        \mathbf{x}^{\prime}_w = \mathrm{ReLU} \Big( \mathbf{b}_w + \sum_{k, v} A_{kvw} \left(
        \mathbf{W}_k \mathbf{x}_v + \mathbf{c}_k \right) + \mathbf{r}_w \Big)

    Args:
        weight (torch.Tensor): The weights by output channel, partition and input channel.
        bias (torch.Tensor): One bias per output channel and joint.
        graph (torch.Tensor): The graph by partition, source and target. With a graph per input only
            its zeros are used.
        row_bias (torch.Tensor, optional): The biases :math:`\mathbf{c}`.
        relu (bool): Whether ReLU comes at the end. (default: :obj:`True`)
        halo (int): Frames of zeros around the output. (default: :obj:`0`)
        map_relu (bool): Whether ReLU follows the map. (default: :obj:`False`)

    Shapes:
        - **weight:** :math:`(C', K, C)`, **bias:** :math:`(C', V)`, **graph:** :math:`(K, V, V)`,
          **row_bias:** :math:`(C', K)`
        - **input:** features of C channels; the graph of every person, partition and channel,
          :math:`(P, K \text{ or } 1, C' \text{ or } 1, V \cdot 16 B)`, target joints last
          *(optional)*; the residual of C' channels *(optional)*
        - **output:** features of C' channels
    """

    starts: Tensor
    offsets: Tensor
    values: Tensor
    bias: Tensor
    row_bias: Tensor
    graph_starts: Tensor
    edges: Tensor
    factors: Tensor
    ell_starts: Tensor
    ell_sources: Tensor
    ell_factors: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        graph: Tensor,
        row_bias: Tensor | None = None,
        relu: bool = True,
        halo: int = 0,
        map_relu: bool = False,
    ) -> None:
        super().__init__()
        rows, self.partitions, self.in_channels = weight.shape
        self.relu = relu
        self.map_relu = map_relu
        self.halo = halo
        num_joints = graph.size(1)
        flat = weight.reshape(rows * self.partitions, 1, -1)
        shift = torch.zeros(len(flat)) if row_bias is None else row_bias.float().flatten()
        self.density = float(weight.count_nonzero()) / max(weight.numel(), 1)
        self.map: SparseConv | None = None
        if maps_first(flat):
            self.map = SparseConv(flat, shift, relu=map_relu)
            shift = torch.zeros_like(shift)
        entries = single_weights(flat) if self.map is None else identity_weights(len(flat))
        self.register_buffer("starts", entries.starts)
        self.register_buffer("offsets", entries.offsets)
        self.register_buffer("values", entries.values)
        spare = num_blocks(num_joints) * LANES - num_joints
        self.register_buffer("bias", F.pad(bias.float(), (0, spare)).contiguous())
        self.register_buffer("row_bias", shift.contiguous())
        by_source = graph_entries(graph, num_blocks(num_joints))
        self.register_buffer("graph_starts", by_source.starts)
        self.register_buffer("edges", by_source.graph)
        self.register_buffer("factors", by_source.factors)
        ell = ell_graph(graph, num_blocks(num_joints))
        self.register_buffer("ell_starts", ell.starts)
        self.register_buffer("ell_sources", ell.sources)
        self.register_buffer("ell_factors", ell.factors)

    def forward(
        self, x: Tensor, factors: Tensor | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """Convolves every frame with the graph."""
        return _ops.graph_conv.default(
            x if self.map is None else self.map(x),
            self.starts,
            self.offsets,
            self.values,
            self.bias,
            self.row_bias,
            self.graph_starts,
            self.edges,
            self.factors if factors is None else factors,
            self.ell_starts if factors is None else self.ell_starts[:0],
            self.ell_sources,
            self.ell_factors,
            self.partitions,
            self.map is None and self.map_relu,
            self.halo,
            residual,
            self.relu,
        )

    def extra_repr(self) -> str:
        """Shows size and density."""
        rows = self.row_bias.numel() // self.partitions
        return (
            f"{self.in_channels}, {rows}, partitions={self.partitions}, "
            f"density={self.density:.3f}, graph_entries={self.edges.size(0)}"
        )
