"""The smaller attention of AAGCN."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from pyg_stgcn.models.plain_copy import double
from pyg_stgcn.models.shrinking.cut_layers import State, cut_linear, put_map, respond
from pyg_stgcn.models.shrinking.kept_channels import Channels
from pyg_stgcn.nn import STCAttention


def cut_attention(attention: STCAttention, inputs: Channels, state: State, name: str) -> Channels:
    """Cuts the attention over joints, frames and channels.

    The gates depend on the clip, so a constant is none after them, unless it is zero. The gates of
    joints and frames are the same for all channels. That of a channel is fixed if its weights are
    zero: all such channels are multiples of each other, and one of them stands for all.

    Args:
        attention: The attention.
        inputs: Its inputs.
        state: Takes the tensors.
        name: The name of the attention.

    Returns:
        The channels of the output; the inputs have the same.
    """
    constants = inputs.constants
    nonzero = (constants != 0).any(0)
    varies = (double(attention.excite.weight) != 0).any(1)
    alike = nonzero & ~varies & (len(constants) == 1)
    outputs = Channels(inputs.index, torch.zeros_like(constants[:1])).with_kept(nonzero & ~alike)
    gates = 1 + double(cast(Tensor, attention.excite.bias)).sigmoid()
    before = outputs
    if alike.any():
        one = int((constants[0] * alike).argmax())
        outputs = outputs.with_kept(torch.arange(len(alike)) == one)
        ratios = constants[0].masked_fill(~alike, 0) / constants[0, one]
        ratios[one] = 0
        before = replace(outputs, multiples=ratios, one=one)
        outputs = replace(outputs, multiples=ratios * gates / gates[one], one=one)
    for part, conv in (("joint_conv", attention.joint_conv), ("frame_conv", attention.frame_conv)):
        state[f"{name}.{part}.weight"] = before.columns(double(conv.weight))
        state[f"{name}.{part}.bias"] = double(cast(Tensor, conv.bias))
    squeezed = cut_linear(attention.squeeze, before, state, f"{name}.squeeze").relu()
    weight, excited = respond(attention.excite, squeezed)
    index = outputs.index
    put_map(state, f"{name}.excite", weight[index], excited.value[:, index])
    return outputs
