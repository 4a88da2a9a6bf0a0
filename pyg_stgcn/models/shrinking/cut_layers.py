"""The smaller layers: their tensors, by their names in the state dict."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pyg_stgcn.models.plain_copy import affine, double
from pyg_stgcn.models.shrinking.kept_channels import Channels, Cut, kept_where, same_at_all_joints

#: The tensors of a smaller network, in double precision.
State = dict[str, Tensor]


def respond(
    layer: nn.Linear, inputs: Channels, norm: nn.Module | None = None
) -> tuple[Tensor, Channels]:
    """The weights of a linear map, and of a batch norm after it, for the computed inputs.

    Args:
        layer: The map.
        inputs: Its inputs.
        norm: The batch norm.

    Returns:
        Weights ``[C', c]``, and the outputs.
    """
    weight, value = double(layer.weight), inputs.constants @ double(layer.weight).t()
    if layer.bias is not None:
        value = value + double(layer.bias)
    if norm is not None:
        scale, shift = affine(norm)
        weight, value = weight * scale[:, None], value * scale + shift
    weight = inputs.columns(weight)
    return weight, kept_where((weight != 0).any(1), value)


def put_map(state: State, name: str, weight: Tensor, bias: Tensor) -> None:
    """Adds a map and its bias ``[1, C']`` or ``[V, C']``."""
    state[f"{name}.weight"] = weight
    bias = same_at_all_joints(bias)
    state[f"{name}.bias"] = bias[0] if len(bias) == 1 else bias


def cut_linear(
    layer: nn.Linear, inputs: Channels, state: State, name: str, norm: nn.Module | None = None
) -> Channels:
    """Cuts a linear map, and a batch norm after it, to the channels that vary."""
    weight, outputs = respond(layer, inputs, norm)
    put_map(state, name, weight[outputs.index], outputs.value[:, outputs.index])
    return outputs


def cut_summand(
    layer: nn.Linear, inputs: Channels, state: State, name: str, norm: nn.Module
) -> Cut:
    """Cuts a linear map and a batch norm whose output is added to another.

    Its rows are those of the sum, also zero ones: to place the others would take as long.
    """
    weight, outputs = respond(layer, inputs, norm)

    def finish(index: Tensor, more: Tensor) -> None:
        put_map(state, name, weight[index], (outputs.value + more)[:, index])

    return Cut(outputs, finish)


def cut_in_place(layer: nn.Linear, inputs: Channels, state: State, name: str) -> None:
    """Cuts a linear map whose outputs keep their places: others are constants."""
    weight, outputs = respond(layer, inputs)
    if len(outputs.index) == len(weight):
        put_map(state, name, weight, outputs.value)
        return
    state[f"{name}.weight"] = weight[outputs.index]
    put_place(state, f"{name}.place", outputs.index, outputs.value)


def put_place(state: State, name: str, place: Tensor, offset: Tensor) -> None:
    """Adds places of channels, and the constants ``[1, C']`` or ``[V, C']`` at all places."""
    state[f"{name}.place"] = place
    offset = same_at_all_joints(offset)
    state[f"{name}.offset"] = offset[0] if len(offset) == 1 else offset


def placed_by_norm(channels: Channels, state: State, name: str) -> Cut:
    """An output whose batch norm is in its weights; the layer of the norm puts it in its places."""

    def finish(index: Tensor, more: Tensor) -> None:
        offset = (channels.constants + more)[:, index]
        if not torch.equal(channels.index, index) or bool(offset.any()):
            put_place(state, name, channels.places(index), offset)

    return Cut(channels, finish)


def put_norm(state: State, name: str, norm: nn.Module, index: Tensor) -> None:
    """Adds a batch norm of some channels."""
    for part, value in norm.state_dict().items():
        state[f"{name}.{part}"] = value if value.dim() == 0 else double(value)[index]


def taps(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """The weights ``[C', C, S]`` and the bias of a convolution over time."""
    weight = double(conv.weight).squeeze(3)
    bias = weight.new_zeros(len(weight)) if conv.bias is None else double(conv.bias)
    return weight, bias


def reaches_over_ends(conv: nn.Conv2d) -> bool:
    """Whether a convolution over time sees frames before or after the clip."""
    return cast(tuple[int, int], conv.padding)[0] > 0
