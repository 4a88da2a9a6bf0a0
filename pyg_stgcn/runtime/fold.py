"""Folding of batch norms into the maps before them, in double precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.nn import PersonNorm

Module = TypeVar("Module", bound=nn.Module)

_OF_CLASS = ("__dict__", "__weakref__")


def copy_plain(module: Module) -> Module:
    """A copy in evaluation mode, its masks applied and removed, without gradients.

    Masks of :mod:`torch.nn.utils.prune` are removed too. Tensors that a module keeps from a forward
    pass are copied without their history.
    """
    kept = (value for part in module.modules() for value in _tensors(vars(part)))
    # Of these, copy.deepcopy refuses results with a history, and compressed sparse matrices.
    computed = {
        id(value): value.detach().clone()
        for value in kept
        if not value.is_leaf or value.layout != torch.strided
    }
    replica = copy.deepcopy(module, cast(dict[int, Any], computed))
    for part in list(replica.modules()):
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)
        if parametrize.is_parametrized(part):
            # The class of a copy is that of the original, which would lose its weight.
            own = {key: value for key, value in vars(type(part)).items() if key not in _OF_CLASS}
            part.__class__ = type(type(part).__name__, type(part).__bases__, own)
            for name in list(cast(nn.ModuleDict, part.parametrizations)):
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    return replica.eval().requires_grad_(False)


def _tensors(value: object) -> Iterator[Tensor]:
    """The tensors in nested containers, parameters aside."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


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
