"""The temporal halves of the stages, compiled."""

from __future__ import annotations

from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_stgcn.nn import CTRMSTCN, DGMSTCN, MSTCN, TemporalConv
from pyg_stgcn.nn.multi_scale import TemporalBranches
from pyg_stgcn.runtime.fold import affine, double, followed_by, frames_first
from pyg_stgcn.runtime.lanes import LANES, num_blocks
from pyg_stgcn.runtime.layers import SparseConv


def compile_map(
    linear: nn.Module, norm: nn.Module, relu: bool = False, halo: int = 0
) -> SparseConv:
    """A linear map and the batch norm after it."""
    return SparseConv(*followed_by(norm, *frames_first(linear)), relu=relu, halo=halo)


def compile_conv(module: TemporalConv, relu: bool) -> SparseConv:
    """A convolution over time, its batch norm, and optionally ReLU."""
    weight, bias = followed_by(module.norm, *frames_first(module.conv))
    stride = module.conv.stride[0] * module.frame_step
    return SparseConv(weight, bias, stride, int(module.conv.padding[0]), relu=relu)


class Branches(nn.Module):
    r"""Dilated convolutions, a maximum and a linear map side by side, and their norm.

    The dilated convolutions are one sparse convolution: each branch has its own non-zero weights.

    Args:
        branches (TemporalBranches): The branches.
        scale (torch.Tensor): Factor of every channel after the branches.
        shift (torch.Tensor): Summand of every channel after that.
        relu (bool): Apply ReLU at the end.
    """

    pool_scale: Tensor
    pool_shift: Tensor

    def __init__(
        self, branches: TemporalBranches, scale: Tensor, shift: Tensor, relu: bool
    ) -> None:
        super().__init__()
        self.stride = branches.stride
        self.relu = relu
        self.conv_channels = sum(branches.widths[: len(branches.convs)])
        self.channels = scale.numel()
        weight, bias = _side_by_side(branches)
        self.halo = weight.size(1) // 2
        self.reduce = compile_map(branches.reduce, branches.norm, relu=True, halo=self.halo)
        ends = [self.conv_channels, sum(branches.widths), self.channels]
        conv, pool, plain = (
            slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)
        )
        self.conv: SparseConv | None = None
        if self.conv_channels:
            self.conv = SparseConv(
                weight * scale[conv, None, None],
                bias * scale[conv] + shift[conv],
                self.stride,
                self.halo,
                relu=relu,
            )
        self.register_buffer("pool_scale", scale[pool].float())
        self.register_buffer("pool_shift", shift[pool].float())
        self.plain: SparseConv | None = None
        if branches.plain is not None:
            weight, bias = frames_first(branches.plain)
            weight, bias = weight * scale[plain, None, None], bias * scale[plain] + shift[plain]
            self.plain = SparseConv(weight, bias, self.stride, relu=relu)

    def forward(self, x: Tensor) -> Tensor:
        """Runs all branches and joins their channels."""
        reduced = self.reduce(x)
        if self.conv is None:
            # With fewer channels than branches, the linear map has all channels.
            assert self.plain is not None
            return self.plain(x)
        out = self.conv.widened(reduced, self.channels)
        if self.pool_scale.numel():
            torch.ops.pyg_stgcn.pool_into(
                reduced,
                self.halo,
                self.conv_channels,
                self.pool_scale,
                self.pool_shift,
                self.stride,
                self.relu,
                out,
                0,
                self.conv_channels,
            )
        if self.plain is not None:
            self.plain.into(x, out, self.conv_channels + self.pool_scale.numel())
        return out


def _side_by_side(branches: TemporalBranches) -> tuple[Tensor, Tensor]:
    """The dilated convolutions as one over all reduced channels."""
    parts = [frames_first(conv) for conv in branches.convs]
    span = max((weight.size(1) for weight, _ in parts), default=1)
    width = sum(branches.widths)
    out = torch.zeros(sum(len(bias) for _, bias in parts), span, width, dtype=torch.float64)
    channel = 0
    for weight, bias in parts:
        begin, end = (span - weight.size(1)) // 2, channel + len(bias)
        out[channel:end, begin : begin + weight.size(1), channel:end] = weight
        channel = end
    biases = [bias for _, bias in parts]
    return out, torch.cat(biases) if biases else torch.zeros(0, dtype=torch.float64)


class Mixed(nn.Module):
    """The temporal convolution of ST-GCN++; of DG-STGCN with the mean of the joints as a joint."""

    padding = 0
    joint_factor: Tensor | None
    scale: Tensor
    shift: Tensor

    def __init__(self, module: MSTCN, num_joints: int) -> None:
        super().__init__()
        self.num_joints = num_joints
        scale, shift = affine(module.branch_norm)
        self.register_buffer("joint_factor", None)
        if isinstance(module, DGMSTCN):
            factor = double(module.joint_factor)[:num_joints].float()
            spare = num_blocks(num_joints + 1) * LANES - num_joints
            self.joint_factor = F.pad(factor, (0, spare))
            self.register_buffer("scale", scale.float())
            self.register_buffer("shift", shift.float())
            scale, shift = torch.ones_like(scale), torch.zeros_like(shift)
        self.branches = Branches(module.branches, scale, shift, relu=self.joint_factor is None)
        weight, bias = followed_by(module.norm, *frames_first(module.mix))
        self.mix = SparseConv(weight, bias, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        """Convolves over time."""
        out: Tensor = self.mix(self._unmixed(x))
        return out

    def onto(self, x: Tensor, residual: Tensor) -> Tensor:
        """Convolves and adds the residual, in the memory of the residual."""
        return self.mix.onto(self._unmixed(x), residual)

    def _unmixed(self, x: Tensor) -> Tensor:
        if self.joint_factor is not None:
            torch.ops.pyg_stgcn.mean_joint_(x, self.num_joints)
        out: Tensor = self.branches(x)
        if self.joint_factor is not None:
            torch.ops.pyg_stgcn.spread_joint_(
                out, self.num_joints, self.joint_factor, self.scale, self.shift
            )
        return out


class Joined(nn.Module):
    """The temporal convolution of CTR-GCN: branches, batch norm and ReLU, then the residual."""

    padding = 0

    def __init__(self, module: CTRMSTCN) -> None:
        super().__init__()
        self.branches = Branches(module.branches, *affine(module.norm), relu=True)

    def forward(self, x: Tensor) -> Tensor:
        """Convolves over time."""
        out: Tensor = self.branches(x)
        return out

    def onto(self, x: Tensor, residual: Tensor) -> Tensor:
        """Convolves and adds the residual, in the memory of the residual."""
        return residual.add_(self.branches(x)).relu_()


TemporalHalf = SparseConv | Mixed | Joined


@singledispatch
def compile_temporal(module: nn.Module, num_joints: int) -> TemporalHalf:
    """Compiles the temporal half of a stage.

    The attribute ``padding`` of the result is the halo that its input needs; its method ``onto``
    adds a residual before the last ReLU, in the memory of the residual.
    """
    raise TypeError(f"{type(module).__name__}: no temporal half of a stage")


@compile_temporal.register
def _(module: TemporalConv, num_joints: int) -> TemporalHalf:
    return compile_conv(module, relu=True)


@compile_temporal.register(MSTCN)
@compile_temporal.register(DGMSTCN)
def _(module: MSTCN, num_joints: int) -> TemporalHalf:
    return Mixed(module, num_joints)


@compile_temporal.register
def _(module: CTRMSTCN, num_joints: int) -> TemporalHalf:
    return Joined(module)
