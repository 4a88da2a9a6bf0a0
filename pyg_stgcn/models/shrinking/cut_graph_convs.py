"""The smaller graph convolutions, with the batch norms after them."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor, nn

from pyg_stgcn.models.plain_copy import affine, double
from pyg_stgcn.models.shrinking.cut_layers import (
    State,
    cut_in_place,
    cut_linear,
    placed_by_norm,
    put_map,
    put_place,
    respond,
)
from pyg_stgcn.models.shrinking.kept_channels import Channels, Cut, kept_where
from pyg_stgcn.nn import AAGraphConv, CTRGraphConv, DGGraphConv, STGraphConv


@singledispatch
def cut_graph_conv(
    conv: nn.Module, norm: nn.Module, graph: Tensor, inputs: Channels, state: State, name: str
) -> Cut:
    """Cuts a graph convolution and the batch norm after it.

    Args:
        conv: The convolution.
        norm: The batch norm.
        graph: The weights of the edges by partition, source and target, ``[K, V, V]``.
        inputs: The inputs, whose constants are the same at all joints.
        state: Takes the tensors.
        name: The name of the unit of both.
    """
    raise TypeError(f"{type(conv).__name__}: no graph convolution of a stage")


@cut_graph_conv.register
def _(
    conv: STGraphConv, norm: nn.Module, graph: Tensor, inputs: Channels, state: State, name: str
) -> Cut:
    scale, shift = affine(norm)
    weight = double(conv.weight).view(conv.out_channels, conv.num_partitions, -1)
    message = _messages(weight, inputs)
    if conv.bias is not None:
        message = message + double(conv.bias).view_as(message)
    # As much of a message as arrives at every joint.
    value = graph.sum(1).t() @ message * scale + shift
    weight = weight[..., inputs.index] * scale[:, None, None]
    outputs = kept_where((weight != 0).flatten(1).any(1), value)
    state[f"{name}.conv.weight"] = weight[outputs.index].flatten(1)

    def finish(index: Tensor, more: Tensor) -> None:
        if torch.equal(index, outputs.index) and not more[:, index].any():
            state[f"{name}.conv.bias"] = value[:, index]
        else:
            put_place(state, f"{name}.norm", outputs.places(index), (value + more)[:, index])

    return Cut(outputs, finish)


@cut_graph_conv.register
def _(
    conv: AAGraphConv, norm: nn.Module, graph: Tensor, inputs: Channels, state: State, name: str
) -> Cut:
    scale, shift = affine(norm)
    partitions = conv.num_partitions
    weight = double(conv.weight).view(conv.out_channels, partitions, -1)
    message = _messages(weight, inputs) * scale
    weight = weight[..., inputs.index] * scale[:, None, None]
    # The graph depends on the clip, and so does what arrives of a constant.
    varies = (weight != 0).flatten(1).any(1) | (message != 0).any(0)
    bias = double(conv.bias).view(partitions, -1).sum(0) * scale + shift
    outputs = kept_where(varies, bias[None])
    index = outputs.index
    state[f"{name}.conv.weight"] = weight[index].flatten(1)
    state[f"{name}.conv.bias"] = bias[index]
    state[f"{name}.conv.alpha"] = double(conv.alpha)
    if message[:, index].any():
        state[f"{name}.conv.message_bias"] = message[:, index].flatten()
    _cut_embeddings(conv, inputs, state, f"{name}.conv.embed")
    return placed_by_norm(outputs, state, f"{name}.norm")


def _messages(weight: Tensor, inputs: Channels) -> Tensor:
    """The part of the constants in the messages of every partition, ``[K, C']``."""
    assert len(inputs.value) == 1
    return torch.einsum("c,okc->ko", inputs.constants[0], weight)


def _cut_embeddings(conv: AAGraphConv, inputs: Channels, state: State, name: str) -> None:
    """Cuts the two embeddings of every partition, whose product over their channels counts.

    A constant channel of one embedding is a factor of the channel of the other, so all of these
    together are one channel.
    """
    shape = (2, conv.num_partitions, conv.embed_channels)
    weight, outputs = respond(conv.embed, inputs)
    varies = (weight != 0).any(1).view(shape)
    # The bias as one more input: rows [2, K, E, C + 1].
    rows = torch.cat([weight, outputs.value.t()], 1).view(*shape, -1)
    one = torch.zeros_like(rows[0, 0, 0])
    one[-1] = 1
    groups = []
    for source, target, (of_source, of_target) in zip(*rows, varies.unbind(1), strict=True):
        both = of_source & of_target
        pairs = [torch.stack([source[both], target[both]])]
        by_source = (source * target[:, -1:])[~of_target].sum(0)
        by_target = (target * source[:, -1:])[of_target & ~of_source].sum(0)
        if by_source.any():
            pairs.append(torch.stack([by_source, one]).unsqueeze(1))
        if by_target.any():
            pairs.append(torch.stack([one, by_target]).unsqueeze(1))
        groups.append(torch.cat(pairs, 1))
    number = max(1, *(group.size(1) for group in groups))
    if number >= conv.embed_channels:
        put_map(state, name, weight, outputs.value)
        return
    cut = rows.new_zeros(2, conv.num_partitions, number, rows.size(-1))
    for partition, group in enumerate(groups):
        cut[:, partition, : group.size(1)] = group
    # The product is divided by the number of channels.
    cut[0] *= number / conv.embed_channels
    cut = cut.flatten(0, 2)
    put_map(state, name, cut[:, :-1], cut[None, :, -1])


@cut_graph_conv.register
def _(
    conv: CTRGraphConv, norm: nn.Module, graph: Tensor, inputs: Channels, state: State, name: str
) -> Cut:
    scale, shift = affine(norm)
    partitions, channels = conv.num_partitions, conv.out_channels
    cut_in_place(conv.relate, inputs, state, f"{name}.conv.relate")
    state[f"{name}.conv.alpha"] = alpha = double(conv.alpha)
    # By partition and channel: [K, C', ...].
    weight, values = respond(conv.value, inputs)
    weight = weight.view(partitions, channels, -1) * scale[:, None]
    value = values.value.view(partitions, channels) * scale
    refine = double(conv.refine.weight).view(partitions, channels, -1)
    bias = double(conv.refine.bias).view(partitions, channels)
    varies = (weight != 0).any(-1)
    # What arrives of constant values: without the relations, and with them.
    constant = value.masked_fill(varies, 0)
    edges = (graph != 0).to(graph).sum(1)
    static = graph.sum(1).t() @ constant + edges.t() @ (alpha * bias * constant) + shift
    rest = constant[..., None] * refine * (alpha != 0)
    outputs = kept_where((varies | (rest != 0).any(-1)).any(0), static)

    number = max(1, int(varies.sum(1).max()))
    parts = {"value.weight": weight, "value.bias": value}
    parts |= {"refine.weight": refine, "refine.bias": bias}
    for part, tensor in parts.items():
        cut = tensor.new_zeros(partitions, number, *tensor.shape[2:])
        for partition, rows in enumerate(varies):
            cut[partition, : int(rows.sum())] = tensor[partition, rows]
        state[f"{name}.conv.{part}"] = cut.flatten(0, 1)

    def finish(index: Tensor, more: Tensor) -> None:
        place = torch.full((partitions, number), -1)
        for partition, rows in enumerate(varies):
            chosen = Channels(rows.nonzero().view(-1), static)
            place[partition, : len(chosen.index)] = chosen.places(index)
        put_place(state, f"{name}.conv.merge", place.flatten(), (static + more)[:, index])
        if rest.any():
            state[f"{name}.conv.rest.weight"] = rest[:, index].transpose(0, 1).flatten(1)

    return Cut(outputs, finish)


@cut_graph_conv.register
def _(
    conv: DGGraphConv, norm: nn.Module, graph: Tensor, inputs: Channels, state: State, name: str
) -> Cut:
    grouped = cut_linear(conv.pre, inputs, state, f"{name}.conv.pre", conv.pre_norm).relu()
    weight, relations = respond(conv.relate, inputs)
    source, target = (weight != 0).any(1).view(2, -1)
    first, second = relations.value[0].view(2, -1)
    cut_in_place(conv.relate, inputs, state, f"{name}.conv.relate")
    alpha, beta = double(conv.alpha), double(conv.beta)
    state[f"{name}.conv.alpha"], state[f"{name}.conv.beta"] = alpha, beta
    if not conv.subset_wise:
        alpha, beta = alpha[:1].expand_as(alpha), beta[:1].expand_as(beta)
    group = torch.arange(len(source)) // conv.group_channels
    # What arrives at every joint of the channels that are constant before they travel: without
    # the relations; those with them move.
    constant = grouped.constants[0]
    moves = (constant != 0) & (alpha[group] != 0) & (source | target)
    edges = (graph != 0).to(graph).sum(1)
    arriving = graph.sum(1) + beta[:, None] * (edges > 0)
    still = (alpha[group] * (first - second).tanh()).masked_fill(source | target, 0)
    arriving = (arriving[group] + still[:, None] * edges[group]) * constant[:, None]

    scale, shift = affine(norm)
    weight = double(conv.post.weight) * scale[:, None]
    value = arriving.t() @ weight.t() + double(conv.post.bias) * scale + shift
    varies = (weight[:, grouped.kept | moves] != 0).any(1)
    outputs = kept_where(varies, value)
    if len(grouped.index) < len(constant):
        state[f"{name}.conv.channels"] = grouped.index
    if moves.any():
        state[f"{name}.conv.constants"] = moves.nonzero().view(-1)

    def finish(index: Tensor, more: Tensor) -> None:
        rows = weight[index]
        put_map(state, f"{name}.conv.post", rows[:, grouped.index], (value + more)[:, index])
        if moves.any():
            state[f"{name}.conv.rest.weight"] = (rows * constant)[:, moves]

    return Cut(outputs, finish)
