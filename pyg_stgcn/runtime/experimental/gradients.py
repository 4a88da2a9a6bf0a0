"""The layers of sparse training as functions with gradients, in the layout of the kernels.

All features have zeros in the lanes after the last joint, and so have their gradients. A halo
around features is one around their gradient too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_stgcn.runtime.graphs import graph_entries, graph_terms
from pyg_stgcn.runtime.lanes import LANES, in_lanes, num_blocks
from pyg_stgcn.runtime.sparse_weights import Entries, compress_places, row_places

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
    """Where the kept weights of a convolution over time are.

    Args:
        forward: For the output; the values of entries are numbers of weights.
        backward: For the gradient of the input.
        rows: For the gradient of the weights: single ones.
        shape: Output channels, frames and input channels.
        stride: Step from one output frame to the next.
    """

    forward: Entries
    backward: Entries
    rows: Entries
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
    x: Tensor, entries: Entries, weight: Tensor, bias: Tensor, stride: int, frames: int, halo: int
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


def _spread_frames(x: Tensor, stride: int, frames: int, halo: int) -> Tensor:
    """The frames of x with zeros between them, up to so many frames, and around."""
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
            grad = _spread_frames(grad, plan.stride, frames, plan.halo)
        zero = x.new_zeros(plan.shape[2])
        seen = grad.size(2) - 2 * plan.halo
        grad_x = _convolve(grad, plan.backward, weight, zero, 1, seen, plan.halo)
        if seen < frames:
            grad_x = _spread_frames(grad_x, plan.stride, frames, 0)
        return grad_x, grad_weight, bias, None


@dataclass(frozen=True)
class GraphPlan:
    """Where the edges of a graph are, in the forms of the kernels.

    Args:
        starts: Where the entries of each partition and block of targets begin.
        graph: The entries.
        term_starts: Where the terms of each partition begin; empty where there are none.
        term_sources: The sources of the terms.
        term_places: Where the factors of the terms are, ``[K, V, 16 B]`` flattened.
        grad_places: Where those are whose gradients the kernel gives.
    """

    starts: Tensor
    graph: Tensor
    term_starts: Tensor
    term_sources: Tensor
    term_places: Tensor
    grad_places: Tensor

    @classmethod
    def of(cls, kept: Tensor) -> GraphPlan:
        """The plan for the edges by partition, source and target ``[K, V, V]``."""
        num_joints = kept.size(1)
        lanes = num_blocks(num_joints) * LANES
        entries, terms = graph_entries(kept), graph_terms(kept)
        lane = torch.arange(lanes)
        partition = _numbers(terms.starts) if terms.starts.numel() else torch.zeros(0)
        sources = partition.long()[:, None] * num_joints + terms.sources.view(-1, lanes).long()
        term_places = (sources * lanes + lane).flatten()
        if terms.starts.numel() and _ops.picks_joints(num_blocks(num_joints)):
            grad_places = term_places
        else:
            part = _numbers(entries.starts) // num_blocks(num_joints) * num_joints * lanes
            first = part[:, None] + entries.graph[:, 1:].long()
            grad_places = (first + lane[:LANES]).flatten()
        return cls(
            entries.starts,
            entries.graph,
            terms.starts,
            terms.sources.flatten(),
            term_places,
            grad_places,
        )


def _numbers(starts: Tensor) -> Tensor:
    """To which of the parts that begin at ``starts`` each element belongs."""
    return torch.arange(starts.numel() - 1).repeat_interleave(starts.diff().long())


@dataclass(frozen=True)
class GraphConvPlan:
    """Where weights and edges of a graph convolution are.

    Args:
        forward: For the output; the values of entries are numbers of weights.
        backward: For the gradient of the input.
        graph: The graph from source to target.
        turned: The graph from target to source.
        partitions: Number of partitions K.
        in_channels: Channels C of the input.
    """

    forward: Entries
    backward: Entries
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
    x: Tensor, entries: Entries, weight: Tensor, bias: Tensor, graph: GraphPlan, factors: Tensor
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
        graph.term_starts,
        graph.term_sources,
        factors.view(-1)[graph.term_places],
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
            turned.view(1, plan.partitions, 1, -1), back.term_starts, back.term_sources,
            turned.view(-1)[back.term_places], plan.partitions,
        )  # fmt: skip
        grad_weight = torch.zeros_like(weight, memory_format=torch.contiguous_format)
        grad_weight.view(-1)[at.values] = values
        sums = _ops.graph_edge_grad(
            x, grad, at.starts, at.offsets, weight.reshape(-1)[at.values], plan.graph.starts,
            plan.graph.graph, plan.graph.term_starts, plan.graph.term_sources, plan.partitions,
        )  # fmt: skip
        grad_graph = torch.zeros_like(in_lanes(graph))
        grad_graph.view(-1)[plan.graph.grad_places] = sums.view(-1)
        zero = x.new_zeros(plan.in_channels, x.size(1) * LANES)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _graph_convolve(grad, plan.backward, weight, zero, back, turned)
        return grad_x, grad_weight, grad_bias, grad_graph[..., : graph.size(2)], None


class Normalize(torch.autograd.Function):
    """A batch norm, what is added to it, and ReLU.

    Takes features, weight and bias of the norm, mean and variance, whether these are those of the
    features, the residual or None, epsilon, number of joints, halo of the input, whether ReLU
    comes at the end, and the halo of the output.
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
