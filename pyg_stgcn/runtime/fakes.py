"""Shapes of the results of the kernels' operators, for export and compilation."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.runtime.lanes import LANES


def _features(x: Tensor, frames: int, channels: int, pad: int) -> Tensor:
    return x.new_empty(x.size(0), x.size(1), frames + 2 * pad, channels, LANES)


@torch.library.register_fake("pyg_stgcn::pack")
def _pack(x: Tensor, pad: int) -> Tensor:
    persons, frames, joints, channels = x.shape
    return x.new_empty(persons, -(-joints // LANES), frames + 2 * pad, channels, LANES)


@torch.library.register_fake("pyg_stgcn::unpack")
def _unpack(x: Tensor, pad: int, joints: int) -> Tensor:
    return x.new_empty(x.size(0), x.size(2) - 2 * pad, joints, x.size(3))


@torch.library.register_fake("pyg_stgcn::linear")
def _linear(
    x: Tensor,
    starts: Tensor,
    offsets: Tensor,
    values: Tensor,
    bias: Tensor,
    groups: int,
    block: int,
) -> Tensor:
    return x.new_empty(x.size(0), bias.size(0))


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
    relu: bool,
    residual: Tensor | None,
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
    ell_starts: Tensor,
    ell_sources: Tensor,
    ell_factors: Tensor,
    partitions: int,
    map_relu: bool,
    pad: int,
    residual: Tensor | None,
    relu: bool,
) -> Tensor:
    return _features(x, x.size(2), bias.size(0), pad)


@torch.library.register_fake("pyg_stgcn::make_graph")
def _make_graph(
    op: str,
    x: Tensor,
    pad: int,
    joints: int,
    arrays: list[Tensor],
    partitions: int,
    channels: int,
    graphs: int,
    rows: int,
) -> Tensor:
    return x.new_empty(x.size(0), graphs, rows, joints * x.size(1) * LANES)


@torch.library.register_fake("pyg_stgcn::conv_weight_grad")
def _conv_weight_grad(
    x: Tensor,
    grad: Tensor,
    starts: Tensor,
    offsets: Tensor,
    groups: int,
    stride: int,
    pad: int,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(offsets.size(0)), x.new_empty(grad.size(3))


@torch.library.register_fake("pyg_stgcn::graph_weight_grad")
def _graph_weight_grad(
    x: Tensor,
    grad: Tensor,
    starts: Tensor,
    offsets: Tensor,
    graph_starts: Tensor,
    graph: Tensor,
    factors: Tensor,
    ell_starts: Tensor,
    ell_sources: Tensor,
    ell_factors: Tensor,
    partitions: int,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(offsets.size(0)), x.new_empty(grad.size(3), x.size(1) * LANES)


@torch.library.register_fake("pyg_stgcn::graph_edge_grad")
def _graph_edge_grad(
    x: Tensor,
    grad: Tensor,
    starts: Tensor,
    offsets: Tensor,
    values: Tensor,
    graph_starts: Tensor,
    graph: Tensor,
    ell_starts: Tensor,
    ell_sources: Tensor,
    partitions: int,
) -> Tensor:
    use_ell = torch.ops.pyg_stgcn.picks_joints(x.size(1)) and ell_starts.size(0) > 0
    count = ell_sources.size(0) // LANES if use_ell else graph.size(0)
    return x.new_empty(count, LANES)


@torch.library.register_fake("pyg_stgcn::norm_stats")
def _norm_stats(x: Tensor, pad: int, joints: int) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.size(3)), x.new_empty(x.size(3))


@torch.library.register_fake("pyg_stgcn::norm_apply")
def _norm_apply(
    x: Tensor,
    x_pad: int,
    joints: int,
    center: Tensor,
    factor: Tensor,
    shift: Tensor,
    residual: Tensor | None,
    relu: bool,
    pad: int,
) -> Tensor:
    return _features(x, x.size(2) - 2 * x_pad, x.size(3), pad)


@torch.library.register_fake("pyg_stgcn::norm_grad_sums")
def _norm_grad_sums(
    grad: Tensor,
    kept: Tensor | None,
    pad: int,
    x: Tensor,
    x_pad: int,
    joints: int,
    center: Tensor,
) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.size(3)), x.new_empty(x.size(3))


@torch.library.register_fake("pyg_stgcn::norm_grad")
def _norm_grad(
    grad: Tensor,
    kept: Tensor | None,
    pad: int,
    x: Tensor,
    x_pad: int,
    joints: int,
    center: Tensor,
    factor: Tensor,
    factor_x: Tensor,
    shift: Tensor,
    wanted: bool,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(grad) if wanted else x.new_empty(0)


@torch.library.register_fake("pyg_stgcn::conv_into")
@torch.library.register_fake("pyg_stgcn::pool_into")
@torch.library.register_fake("pyg_stgcn::change_")
def _in_place(*args: object, **kwargs: object) -> None:
    return None
