"""The instructions of the temporal halves of the stages."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor, nn

from pyg_stgcn.models.plain_copy import affine, double
from pyg_stgcn.nn import CTRMSTCN, DGMSTCN, MSTCN, TemporalConv
from pyg_stgcn.nn.multi_scale import TemporalBranches
from pyg_stgcn.runtime.fold import followed_by, frames_first
from pyg_stgcn.runtime.program_builder import NONE, ProgramBuilder


@singledispatch
def compile_temporal(module: nn.Module, builder: ProgramBuilder, x: int, residual: int) -> int:
    """Compiles the temporal half of a stage, with its residual and ReLU; gives its output."""
    raise TypeError(f"{type(module).__name__}: no temporal half of a stage")


@compile_temporal.register
def _(module: TemporalConv, builder: ProgramBuilder, x: int, residual: int) -> int:
    return compile_conv(module, builder, x, relu=True, residual=residual)


@compile_temporal.register(MSTCN)
@compile_temporal.register(DGMSTCN)
def _(module: MSTCN, builder: ProgramBuilder, x: int, residual: int) -> int:
    scale, shift = affine(module.branch_norm)
    if isinstance(module, DGMSTCN):
        # The mean of the joints goes through the branches as one more joint.
        builder.emit("mean_joint", {"at": x})
        ones, zeros = torch.ones_like(scale), torch.zeros_like(shift)
        out = _branches(module.branches, builder, x, ones, zeros, relu=False)
        factor = builder.in_lanes(double(module.joint_factor)[: builder.num_joints])
        builder.emit("spread_joint", {"at": out}, factor=factor, scale=scale, shift=shift)
    else:
        out = _branches(module.branches, builder, x, scale, shift, relu=True)
    weight, bias = followed_by(module.norm, *frames_first(module.mix))
    return builder.conv(out, weight, bias, relu=True, residual=residual)


@compile_temporal.register
def _(module: CTRMSTCN, builder: ProgramBuilder, x: int, residual: int) -> int:
    out = _branches(module.branches, builder, x, *affine(module.norm), relu=True)
    if residual == NONE:
        return out
    total = builder.features(len(module.norm.weight))
    builder.emit("add", {"in": out, "residual": residual, "out": total, "relu": 1})
    return total


def compile_conv(
    module: TemporalConv, builder: ProgramBuilder, x: int, relu: bool, residual: int = NONE
) -> int:
    """A convolution over time, its batch norm, and optionally ReLU."""
    weight, bias = followed_by(module.norm, *frames_first(module.conv))
    stride, padding = module.conv.stride[0] * module.frame_step, int(module.conv.padding[0])
    return builder.conv(x, weight, bias, stride, padding, relu, residual)


def compile_map(linear: nn.Module, norm: nn.Module, builder: ProgramBuilder, x: int) -> int:
    """A linear map and the batch norm after it."""
    return builder.conv(x, *followed_by(norm, *frames_first(linear)))


def _branches(
    branches: TemporalBranches,
    builder: ProgramBuilder,
    x: int,
    scale: Tensor,
    shift: Tensor,
    relu: bool,
) -> int:
    """Dilated convolutions, a maximum and a linear map side by side, and their norm.

    The dilated convolutions are one sparse convolution: each branch has its own non-zero weights.
    """
    weight, bias = followed_by(branches.norm, *frames_first(branches.reduce))
    reduced = builder.conv(x, weight, bias, relu=True)
    out, stride = builder.features(len(scale)), branches.stride
    convolved, pooled = sum(branches.widths[: len(branches.convs)]), sum(branches.widths)
    if convolved:
        weight, bias = _side_by_side(branches)
        weight, bias = _scaled(weight, bias, scale[:convolved], shift[:convolved])
        builder.conv(reduced, weight, bias, stride, weight.size(1) // 2, relu, out=out)
    if pooled > convolved:
        builder.widen(reduced, 1)
        numbers = {"in": reduced, "out": out, "in_channel": convolved, "channel": convolved}
        numbers |= {"stride": stride, "relu": int(relu)}
        part = slice(convolved, pooled)
        builder.emit("maximum", numbers, scale=scale[part], shift=shift[part])
    if branches.plain is not None:
        weight, bias = frames_first(branches.plain)
        weight, bias = _scaled(weight, bias, scale[pooled:], shift[pooled:])
        builder.conv(x, weight, bias, stride, relu=relu, out=out, channel=pooled)
    return out


def _scaled(weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    return weight * scale[:, None, None], bias * scale + shift


def _side_by_side(branches: TemporalBranches) -> tuple[Tensor, Tensor]:
    """The dilated convolutions as one over all reduced channels."""
    parts = [frames_first(conv) for conv in branches.convs]
    span, width = max(weight.size(1) for weight, _ in parts), sum(branches.widths)
    out = torch.zeros(sum(len(bias) for _, bias in parts), span, width, dtype=torch.float64)
    channel = 0
    for weight, bias in parts:
        begin, end = (span - weight.size(1)) // 2, channel + len(bias)
        out[channel:end, begin : begin + weight.size(1), channel:end] = weight
        channel = end
    return out, torch.cat([bias for _, bias in parts])
