"""What the operators of the kernels return, without computing it: for export and compilation."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.runtime.layout import LANES


def _features(x: Tensor, frames: int, channels: int, pad: int) -> Tensor:
    return x.new_empty(x.size(0), x.size(1), frames + 2 * pad, channels, LANES)


@torch.library.register_fake("pyg_stgcn::pack")
def _pack(x: Tensor, pad: int) -> Tensor:
    persons, frames, joints, channels = x.shape
    return x.new_empty(persons, -(-joints // LANES), frames + 2 * pad, channels, LANES)


@torch.library.register_fake("pyg_stgcn::unpack")
def _unpack(x: Tensor, pad: int, joints: int) -> Tensor:
    return x.new_empty(x.size(0), x.size(2) - 2 * pad, joints, x.size(3))


@torch.library.register_fake("pyg_stgcn::conv")
def _conv(
    x: Tensor,
    starts: Tensor,
    offsets: Tensor,
    values: Tensor,
    bias: Tensor,
    groups: int,
    block: int,
    stride: int,
    frames: int,
    relu_first: bool,
    residual: Tensor | None,
    residual_pad: int,
    relu: bool,
    pad: int,
    channels: int,
) -> Tensor:
    return _features(x, frames, channels, pad)


@torch.library.register_fake("pyg_stgcn::graph_conv")
def _graph_conv(
    x: Tensor,
    starts: Tensor,
    offsets: Tensor,
    values: Tensor,
    bias: Tensor,
    row_bias: Tensor,
    graph_starts: Tensor,
    graph: Tensor,
    factors: Tensor,
    term_starts: Tensor,
    term_sources: Tensor,
    term_factors: Tensor,
    partitions: int,
    x_pad: int,
    pad: int,
    residual: Tensor | None,
    residual_pad: int,
    relu: bool,
) -> Tensor:
    return _features(x, x.size(2) - 2 * x_pad, bias.size(0), pad)


@torch.library.register_fake("pyg_stgcn::pairs")
def _pairs(x: Tensor, pad: int, partitions: int, joints: int) -> Tensor:
    return x.new_empty(x.size(0), partitions, joints, x.size(1) * LANES)


@torch.library.register_fake("pyg_stgcn::joint_sum")
def _joint_sum(x: Tensor, pad: int, weight: Tensor) -> Tensor:
    return x.new_empty(x.size(0), x.size(2) - 2 * pad, x.size(3))


@torch.library.register_fake("pyg_stgcn::conv_into")
@torch.library.register_fake("pyg_stgcn::pool_into")
@torch.library.register_fake("pyg_stgcn::mean_joint_")
@torch.library.register_fake("pyg_stgcn::spread_joint_")
@torch.library.register_fake("pyg_stgcn::gate_")
def _in_place(*args: object, **kwargs: object) -> None:
    return None
