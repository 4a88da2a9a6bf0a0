"""Folding of batch norms into the maps before them, in double precision."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import PersonNorm

Module = TypeVar("Module", bound=nn.Module)


def copy_plain(module: Module) -> Module:
    """A copy in evaluation mode, its masks applied and removed, without gradients."""
    replica = copy.deepcopy(module)
    for part in list(replica.modules()):
        if parametrize.is_parametrized(part):
            for name in list(cast(nn.ModuleDict, part.parametrizations)):
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    return replica.eval().requires_grad_(False)


def double(value: Tensor) -> Tensor:
    """A weight, its mask applied, in double precision on the CPU."""
    return value.detach().to("cpu", torch.float64)


def affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Factor and summand of a batch norm in evaluation mode."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = double(norm.weight) / (double(norm.running_var) + norm.eps).sqrt()
    return scale, double(norm.bias) - double(norm.running_mean) * scale


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
    assert isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    weight = double(layer.weight)
    bias = weight.new_zeros(weight.size(0)) if layer.bias is None else double(layer.bias)
    if isinstance(layer, nn.Linear):
        return weight.unsqueeze(1), bias
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
