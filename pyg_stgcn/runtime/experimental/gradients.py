"""The layers of sparse training as functions with gradients, in the layout of the kernels.

All features have zeros in the lanes after the last joint, and so have their gradients. Features
with a halo have gradients with a halo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_stgcn.runtime.graphs import ell_graph, graph_entries
from pyg_stgcn.runtime.lanes import LANES, in_lanes, num_blocks
from pyg_stgcn.runtime.sparse_weights import SparseRows, compress_places, row_places

_ops = torch.ops.pyg_stgcn


class Pack(torch.autograd.Function):
    """From ``[P, T, V, C]`` to the layout of the kernels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.num_joints = x.size(2)
        return _ops.pack(x, 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _ops.unpack(grads[0].contiguous(), 0, ctx.num_joints)


@dataclass(frozen=True)
class ConvPlan:
    """Positions of the kept weights of a convolution over time.

    Args:
        forward: For the output; its values are positions in the parameter.
        backward: For the gradient of the input.
        rows: For the gradient of the weights, in the format of the row kernel.
        shape: Output channels, frames and input channels.
        stride: Step from one output frame to the next.
    """

    forward: SparseRows
    backward: SparseRows
    rows: SparseRows
    shape: tuple[int, int, int]
    stride: int

    @classmethod
    def of(cls, kept: Tensor, stride: int) -> ConvPlan:
        """The plan for a mask of the weights ``[C', C, S]``."""
        places = torch.arange(kept.numel()).view(kept.shape)
        kept, places = kept.transpose(1, 2), places.transpose(1, 2)
        forward = compress_places(kept, places)
        turned, turned_places = (
            part.flip(1).permute(2, 1, 0).contiguous() for part in (kept, places)
        )
        return cls(
            forward,
            compress_places(turned, turned_places),
            forward if forward.block == 1 else row_places(kept, places),
            (kept.size(0), kept.size(1), kept.size(2)),
            stride,
        )

    @property
    def halo(self) -> int:
        """Frames of zeros that the input needs on either side."""
        return self.shape[1] // 2

    @property
    def grad_halo(self) -> int:
        """Frames of zeros around the output, for its gradient."""
        return self.halo if self.stride == 1 else 0

    def num_frames(self, x: Tensor) -> int:
        """Output frames for an input."""
        return (x.size(2) - self.shape[1]) // self.stride + 1


def _convolve(
    x: Tensor,
    entries: SparseRows,
    weight: Tensor,
    bias: Tensor,
    stride: int,
    frames: int,
    halo: int,
) -> Tensor:
    values = weight.reshape(-1)[entries.values]
    return _ops.conv(
        x,
        entries.starts,
        entries.offsets,
        values,
        bias,
        entries.groups,
        entries.block,
        stride,
        frames,
        False,
        None,
        halo,
        bias.numel(),
    )


def _dilate_frames(x: Tensor, stride: int, frames: int, halo: int) -> Tensor:
    """The frames of x with zeros between them, filled up to ``frames``, and a halo."""
    shape = (x.size(0), x.size(1), frames + 2 * halo, x.size(3), LANES)
    out = x.new_zeros(shape)
    out[:, :, halo : halo + frames : stride] = x
    return out


class Conv(torch.autograd.Function):
    """A convolution over time: features, weights, bias, plan."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, plan: ConvPlan) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.plan = plan
        frames = plan.num_frames(x)
        return _convolve(x, plan.forward, weight, bias, plan.stride, frames, plan.grad_halo)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        plan: ConvPlan = ctx.plan
        grad = grads[0].contiguous()
        frames = x.size(2) - 2 * plan.halo
        values, bias = _ops.conv_weight_grad(
            x, grad, plan.rows.starts, plan.rows.offsets, plan.rows.groups, plan.stride,
            plan.grad_halo,
        )  # fmt: skip
        grad_weight = torch.zeros_like(weight, memory_format=torch.contiguous_format)
        grad_weight.view(-1)[plan.rows.values] = values
        if plan.stride > 1 and plan.halo:
            grad = _dilate_frames(grad, plan.stride, frames, plan.halo)
        zero = x.new_zeros(plan.shape[2])
        seen = grad.size(2) - 2 * plan.halo
        grad_x = _convolve(grad, plan.backward, weight, zero, 1, seen, plan.halo)
        if seen < frames:
            grad_x = _dilate_frames(grad_x, plan.stride, frames, 0)
        return grad_x, grad_weight, bias, None


@dataclass(frozen=True)
class GraphPlan:
    """Positions of the edges of a graph, in the formats of the kernels.

    Args:
        starts: First entry of each partition and block of targets.
        graph: The entries.
        ell_starts: First slot of each partition in ELL format; empty where it does not pay.
        ell_sources: The sources of the slots.
        ell_places: Positions of the factors of the slots, ``[K, V, 16 B]`` flattened.
        grad_places: Positions of the factors whose gradients the kernel returns.
    """

    starts: Tensor
    graph: Tensor
    ell_starts: Tensor
    ell_sources: Tensor
    ell_places: Tensor
    grad_places: Tensor

    @classmethod
    def of(cls, kept: Tensor) -> GraphPlan:
        """The plan for the edges by partition, source and target ``[K, V, V]``."""
        num_joints = kept.size(1)
        lanes = num_blocks(num_joints) * LANES
        blocks = num_blocks(num_joints)
        entries, ell = graph_entries(kept, blocks), ell_graph(kept, blocks)
        lane = torch.arange(lanes)
        partition = _part_of_each(ell.starts) if ell.starts.numel() else torch.zeros(0)
        sources = partition.long()[:, None] * num_joints + ell.sources.view(-1, lanes).long()
        ell_places = (sources * lanes + lane).flatten()
        if ell.starts.numel() and _ops.picks_joints(num_blocks(num_joints)):
            grad_places = ell_places
        else:
            part = _part_of_each(entries.starts) // num_blocks(num_joints) * num_joints * lanes
            first = part[:, None] + entries.graph[:, 1:].long()
            grad_places = (first + lane[:LANES]).flatten()
        return cls(
            entries.starts,
            entries.graph,
            ell.starts,
            ell.sources.flatten(),
            ell_places,
            grad_places,
        )


def _part_of_each(starts: Tensor) -> Tensor:
    """The part to which each element belongs; part i begins at ``starts[i]``."""
    return torch.arange(starts.numel() - 1).repeat_interleave(starts.diff().long())


@dataclass(frozen=True)
class GraphConvPlan:
    """Positions of the kept weights and edges of a graph convolution.

    Args:
        forward: For the output; its values are positions in the parameter.
        backward: For the gradient of the input.
        graph: The graph from source to target.
        turned: The graph from target to source.
        partitions: Number of partitions K.
        in_channels: Channels C of the input.
    """

    forward: SparseRows
    backward: SparseRows
    graph: GraphPlan
    turned: GraphPlan
    partitions: int
    in_channels: int

    @classmethod
    def of(cls, kept: Tensor, edges: Tensor) -> GraphConvPlan:
        """The plan for masks of the weights ``[C', K, C]`` and of the edges ``[K, V, V]``."""
        rows, partitions, channels = kept.shape
        places = torch.arange(kept.numel()).view(kept.shape)
        by_output = (rows * partitions, 1, channels)
        by_input = (channels * partitions, 1, rows)
        turned, turned_places = kept.permute(2, 1, 0), places.permute(2, 1, 0)
        return cls(
            row_places(kept.reshape(by_output), places.reshape(by_output), max(channels, 1)),
            row_places(turned.reshape(by_input), turned_places.reshape(by_input), max(rows, 1)),
            GraphPlan.of(edges),
            GraphPlan.of(edges.transpose(1, 2).contiguous()),
            partitions,
            channels,
        )


def _graph_convolve(
    x: Tensor, entries: SparseRows, weight: Tensor, bias: Tensor, graph: GraphPlan, factors: Tensor
) -> Tensor:
    partitions = factors.size(0)
    return _ops.graph_conv(
        x,
        entries.starts,
        entries.offsets,
        weight.reshape(-1)[entries.values],
        bias,
        x.new_zeros(bias.size(0) * partitions),
        graph.starts,
        graph.graph,
        factors.view(1, partitions, 1, -1),
        graph.ell_starts,
        graph.ell_sources,
        factors.view(-1)[graph.ell_places],
        partitions,
        False,
        0,
        None,
        False,
    )


class GraphConv(torch.autograd.Function):
    """A graph convolution: features, weights, bias ``[C', 16 B]``, graph ``[K, V, V]``, plan."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, graph: Tensor, plan: GraphConvPlan
    ) -> Tensor:
        ctx.save_for_backward(x, weight, graph)
        ctx.plan = plan
        return _graph_convolve(x, plan.forward, weight, bias, plan.graph, in_lanes(graph))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, graph = ctx.saved_tensors
        plan: GraphConvPlan = ctx.plan
        grad = grads[0].contiguous()
        turned = in_lanes(graph.transpose(1, 2))
        at, back = plan.forward, plan.turned
        values, grad_bias = _ops.graph_weight_grad(
            x, grad, at.starts, at.offsets, back.starts, back.graph,
            turned.view(1, plan.partitions, 1, -1), back.ell_starts, back.ell_sources,
            turned.view(-1)[back.ell_places], plan.partitions,
        )  # fmt: skip
        grad_weight = torch.zeros_like(weight, memory_format=torch.contiguous_format)
        grad_weight.view(-1)[at.values] = values
        sums = _ops.graph_edge_grad(
            x, grad, at.starts, at.offsets, weight.reshape(-1)[at.values], plan.graph.starts,
            plan.graph.graph, plan.graph.ell_starts, plan.graph.ell_sources, plan.partitions,
        )  # fmt: skip
        grad_graph = torch.zeros_like(in_lanes(graph))
        grad_graph.view(-1)[plan.graph.grad_places] = sums.view(-1)
        zero = x.new_zeros(plan.in_channels, x.size(1) * LANES)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _graph_convolve(grad, plan.backward, weight, zero, back, turned)
        return grad_x, grad_weight, grad_bias, grad_graph[..., : graph.size(2)], None


class Normalize(torch.autograd.Function):
    """A batch norm, a residual, and ReLU.

    ``of_batch`` tells if mean and variance are those of the features, and so depend on them;
    ``x_halo`` and ``halo`` are the halos of input and output.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        of_batch: bool,
        residual: Tensor | None,
        eps: float,
        num_joints: int,
        x_halo: int,
        relu: bool,
        halo: int,
    ) -> Tensor:
        rate = (variance + eps).rsqrt()
        factor = weight * rate
        out: Tensor = _ops.norm_apply(
            x, x_halo, num_joints, mean, factor, bias, residual, relu, halo
        )
        ctx.save_for_backward(x, weight, mean, rate, out if relu else None)
        ctx.options = (of_batch, residual is not None, num_joints, x_halo, halo)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rate, out = ctx.saved_tensors
        of_batch, has_residual, num_joints, x_halo, halo = ctx.options
        grad = grads[0].contiguous()
        sums, products = _ops.norm_grad_sums(grad, out, halo, x, x_halo, num_joints, mean)
        factor = weight * rate
        factor_x, shift = torch.zeros_like(factor), torch.zeros_like(factor)
        if of_batch:
            count = x.size(0) * (x.size(2) - 2 * x_halo) * num_joints
            factor_x = -factor * rate * rate * products / count
            shift = -factor * sums / count
        grad_x, passed = _ops.norm_grad(
            grad, out, halo, x, x_halo, num_joints, mean, factor, factor_x, shift, has_residual
        )
        grad_residual = passed if has_residual else None
        return grad_x, products * rate, sums, *[None] * 3, grad_residual, *[None] * 5
