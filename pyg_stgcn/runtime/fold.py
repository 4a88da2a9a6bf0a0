"""Folding of batch norms into the maps before them, in double precision."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.plain_copy import affine, double
from pyg_stgcn.nn import PersonNorm


def input_norm(model: Backbone) -> tuple[Tensor, Tensor]:
    """Factor and summand of a backbone's input by slot of persons, ``[slots, 1, V, C]``."""
    norm = model.data_norm
    slots: list[nn.Module] = [norm]
    if isinstance(norm, PersonNorm):
        slots = [norm.slots[slot] for slot in norm.trained_slots().tolist()]
    shape = (len(slots), 1, model.skeleton.num_joints, model.in_channels)
    scale, shift = zip(*map(affine, slots), strict=True)
    return torch.stack(scale).view(shape), torch.stack(shift).view(shape)


def frames_first(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weights ``[C', S, C]`` and bias of a convolution over time or a linear map.

    The frames between the taps of a dilated convolution are filled with zeros.
    """
    weight = double(cast(Tensor, layer.weight))
    bias = (
        double(cast(Tensor, layer.bias))
        if layer.bias is not None
        else weight.new_zeros(len(weight))
    )
    if weight.dim() == 2:
        return weight.unsqueeze(1), bias
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    taps = (weight.squeeze(3) if weight.dim() == 4 else weight).transpose(1, 2)
    dilation = layer.dilation[0]
    span = (taps.size(1) - 1) * dilation + 1
    undilated = weight.new_zeros(taps.size(0), span, taps.size(2))
    undilated[:, ::dilation] = taps
    return undilated, bias


def followed_by(norm: nn.Module, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Folds a batch norm into the map before it."""
    scale, shift = affine(norm)
    return weight * scale.view(-1, *[1] * (weight.dim() - 1)), bias * scale + shift
