"""Copies of models without masks, and batch norms as factors, in double precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

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
