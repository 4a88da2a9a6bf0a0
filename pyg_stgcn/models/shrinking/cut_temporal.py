"""The smaller temporal halves of the stages."""

from __future__ import annotations

from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn

from pyg_stgcn.models.plain_copy import affine, double
from pyg_stgcn.models.shrinking.cut_layers import (
    State,
    cut_summand,
    placed_by_norm,
    put_map,
    put_norm,
    put_place,
    reaches_over_ends,
    respond,
    taps,
)
from pyg_stgcn.models.shrinking.kept_channels import Channels, Cut, join, kept_where
from pyg_stgcn.nn import CTRMSTCN, DGMSTCN, MSTCN, TemporalConv
from pyg_stgcn.nn.multi_scale import TemporalBranches


@singledispatch
def cut_temporal(
    module: nn.Module, inputs: Channels, num_joints: int, state: State, name: str
) -> Cut:
    """Cuts the temporal half of a stage, up to its last batch norm.

    Args:
        module: The temporal half.
        inputs: Its inputs.
        num_joints: The number of joints.
        state: Takes the tensors.
        name: The name of the module.
    """
    raise TypeError(f"{type(module).__name__}: no temporal half of a stage")


@cut_temporal.register
def _(module: TemporalConv, inputs: Channels, num_joints: int, state: State, name: str) -> Cut:
    scale, shift = affine(module.norm)
    weight, bias = taps(module.conv)
    weight, bias = weight * scale[:, None, None], bias * scale + shift
    # The part of the constants, by the frame of the kernel: [V, S, C'].
    part = torch.einsum("vc,ocs->vso", inputs.constants, weight)
    over_ends = reaches_over_ends(module.conv)
    weight = inputs.columns(weight)
    varies = (weight != 0).flatten(1).any(1)
    if over_ends:
        varies |= (part != 0).flatten(0, 1).any(0)
    outputs = kept_where(varies, part.sum(1) + bias)

    def put(index: Tensor, more: Tensor) -> None:
        state[f"{name}.conv.weight"] = weight[index].unsqueeze(3)
        state[f"{name}.conv.bias"] = (outputs.value + more)[0, index]
        if len(part) > 1 or (over_ends and bool(part[..., index].any())):
            state[f"{name}.conv.constant"] = part[..., index]
            state[f"{name}.conv.bias"] = bias[index] + more[0, index]

    if module.conv.kernel_size[0] == 1 and len(outputs.value) == 1:
        return Cut(outputs, put)
    put(outputs.index, torch.zeros(1, len(weight)).double())
    return placed_by_norm(outputs, state, f"{name}.norm")


@cut_temporal.register(MSTCN)
@cut_temporal.register(DGMSTCN)
def _(module: MSTCN, inputs: Channels, num_joints: int, state: State, name: str) -> Cut:
    scale, shift = affine(module.branch_norm)
    if isinstance(module, DGMSTCN):
        inputs = _with_mean_joint(inputs)
    joined = _cut_branches(module.branches, inputs, scale, state, f"{name}.branches")
    if isinstance(module, DGMSTCN):
        state[f"{name}.joint_factor"] = double(module.joint_factor)
        joined = _spread(joined, double(module.joint_factor)[:num_joints])
    put_norm(state, f"{name}.branch_norm", module.branch_norm, joined.index)
    joined = Channels(joined.index, joined.value * scale + shift).relu()
    return cut_summand(module.mix, joined, state, f"{name}.mix", module.norm)


@cut_temporal.register
def _(module: CTRMSTCN, inputs: Channels, num_joints: int, state: State, name: str) -> Cut:
    scale, shift = affine(module.norm)
    joined = _cut_branches(module.branches, inputs, scale, state, f"{name}.branches")
    put_norm(state, f"{name}.norm", module.norm, joined.index)
    joined = Channels(joined.index, joined.value * scale + shift)

    def finish(index: Tensor, more: Tensor) -> None:
        offset = joined.constants[:, index]
        if not torch.equal(joined.index, index) or bool(offset.any()):
            put_place(state, f"{name}.norm.place", joined.places(index), offset)

    return Cut(joined.relu(), finish)


def _with_mean_joint(inputs: Channels) -> Channels:
    """The channels with the mean over the joints as one more joint."""
    value = inputs.value
    if len(value) == 1:
        return inputs
    return Channels(inputs.index, torch.cat([value, value.mean(0, keepdim=True)]))


def _spread(joined: Channels, factor: Tensor) -> Channels:
    """The channels after the mean joint has come back to every joint, with factors ``[V]``."""
    body = joined.value[-1:]
    joints = body if len(joined.value) == 1 else joined.value[:-1]
    return Channels(joined.index, joints + body * factor[:, None])


def _cut_branches(
    branches: TemporalBranches, inputs: Channels, gain: Tensor, state: State, name: str
) -> Channels:
    """Cuts the branches; gives the channels of all, before the norm whose factors are given."""
    weight, reduced = respond(branches.reduce, inputs, branches.norm)
    after = reduced.relu()
    outs, kept, start = list[Channels](), list[Tensor](), 0
    for number, width in enumerate(branches.widths):
        part = after.part(start, start + width)
        if number < len(branches.convs):
            conv = cast(nn.Conv2d, branches.convs[number])
            scales = gain[start : start + width]
            part, out = _cut_conv(conv, part, scales, state, f"{name}.convs.{number}")
            outs.append(out)
        else:
            outs.append(part)
        kept.append(part.kept)
        start += width
    index = torch.cat(kept).nonzero().view(-1)
    put_map(state, f"{name}.reduce", weight[index], reduced.value[:, index])
    if branches.plain is not None:
        weight, plain = respond(branches.plain, inputs)
        plain = kept_where(plain.kept & (gain[start:] != 0), plain.value)
        put_map(state, f"{name}.plain", weight[plain.index], plain.value[:, plain.index])
        outs.append(plain)
    return join(outs)


def _cut_conv(
    conv: nn.Conv2d, inputs: Channels, gain: Tensor, state: State, name: str
) -> tuple[Channels, Channels]:
    """Cuts the convolution of a branch; gives its inputs, and its outputs.

    One of the constant inputs stays and stands for all: beyond the ends of a clip they are zero.
    """
    weight, bias = taps(conv)
    used = (inputs.constants != 0).any(0) & (weight != 0).any(2).any(0)
    varies = (weight[:, inputs.kept | used] != 0).flatten(1).any(1)
    outputs = kept_where(varies & (gain != 0), bias[None])
    if len(inputs.value) > 1:
        inputs = inputs.with_kept(used)
    elif used.any():
        constants = inputs.constants[0] * used
        one = int(constants.argmax())
        weight = weight.clone()
        weight[:, one] = (weight * (constants / constants[one])[:, None]).sum(1)
        inputs = inputs.with_kept(torch.arange(len(used)) == one)
    inputs = kept_where(inputs.kept, inputs.value)
    state[f"{name}.weight"] = weight[outputs.index][:, inputs.index].unsqueeze(3)
    state[f"{name}.bias"] = bias[outputs.index]
    return inputs, outputs
