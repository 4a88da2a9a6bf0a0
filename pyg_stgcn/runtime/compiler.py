"""From a trained model to one that skips its zeros."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Batch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.profiling.cost import random_batch
from pyg_stgcn.runtime.compiled_backbone import SparseBackbone
from pyg_stgcn.runtime.fold import copy_plain
from pyg_stgcn.runtime.native import kernels
from pyg_stgcn.runtime.products import SparseProducts, faster_weights, has_products
from pyg_stgcn.runtime.single import fits, is_faster, sparse_layer

#: Clips, persons and frames of what is timed.
CLIPS, PERSONS, FRAMES = 1, 2, 100
#: A backbone that keeps more of its weights is timed compiled and dense, so often.
TIMED_FROM, ROUNDS = 0.5, 5


def compile_sparse(model: nn.Module, *example: Any) -> nn.Module:
    r"""Compiles a trained model for inference: what was pruned costs no time any more.

    A backbone of this package, an expert of an assembly too, becomes a
    :class:`~pyg_stgcn.runtime.SparseBackbone`: batch norms and biases are folded into the weights,
    ReLU and residual paths into the layers, pruned edges and weights are gone. Of any other model
    the layers are replaced that are worth it, one by one: :class:`torch.nn.Linear`,
    :class:`torch.nn.Conv1d` and :class:`torch.nn.Conv2d` over one of two dimensions, with zeros
    enough to be faster than the dense layer, see :func:`~pyg_stgcn.runtime.single.is_faster`.
    A backbone that keeps more than half of its weights is timed in both forms, and comes back as a
    plain copy with the masks folded in where that is faster.

    The kernels are for float32 on the CPU. Models of other types, and all models where the package
    was installed without its kernels (see :func:`~pyg_stgcn.runtime.kernels`), come back as a plain
    copy with the masks folded in: right, and as fast as a dense model. So do models on a GPU, but
    for the products that torch-sparse does faster there, which is measured weight by weight.

    The model itself is left as it is.

    Args:
        model (torch.nn.Module): The trained model, with masks or with zeros.
        example: An input of the size that counts, where something is timed (default: for the models
            of this package one clip of two persons and 100 frames; others stay dense on a GPU).

    Returns:
        torch.nn.Module: A module with the same ``forward``, in evaluation mode, without gradients.
            Outputs agree to 1e-4. Its class, and the entries of its state dict, depend on the
            machine; :func:`~pyg_stgcn.runtime.save` writes a file for all.

    Raises:
        InputError: If a parameter is on no device yet.
    """
    for name, parameter in model.named_parameters():
        if parameter.device.type == "meta":
            raise InputError(f"{name}: has no values yet; load the weights, then compile")
    plain = copy_plain(model)
    if any(parameter.device.type == "cuda" for parameter in plain.parameters()):
        return _on_gpu(plain, example)
    return plain if kernels() is None else _with_sparse_layers(plain, example)


def _on_gpu(plain: nn.Module, example: tuple[Any, ...]) -> nn.Module:
    if not example and isinstance(plain, Backbone | Assembly):
        example = (_clip(plain),)
    if not example or not has_products(next(plain.parameters()).device):
        return plain
    names = faster_weights(plain, *example)
    return SparseProducts(plain, names) if names else plain


def _clip(model: Backbone | Assembly) -> Batch:
    with torch.random.fork_rng(devices=[]):
        return random_batch(model, CLIPS, PERSONS, FRAMES)


def _backbone(model: Backbone, example: tuple[Any, ...]) -> nn.Module:
    if not _is_supported(model):
        return model
    compiled = SparseBackbone(model)
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    kept = sum(int(weight.count_nonzero()) for weight in weights)
    is_dense = kept > TIMED_FROM * sum(weight.numel() for weight in weights)
    if is_dense and _is_slower(compiled, model, example or (_clip(model),)):
        return model
    return compiled


@torch.inference_mode()
def _is_slower(compiled: nn.Module, model: nn.Module, example: tuple[Any, ...]) -> bool:
    """Whether the compiled form takes longer than the dense one, here and now."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(1 + ROUNDS):
        for form, own in zip((compiled, model), seconds, strict=True):
            start = time.perf_counter()
            form(*example)
            own.append(time.perf_counter() - start)
    # The first round warms up.
    slow, fast = (statistics.median(own[1:]) for own in seconds)
    return slow > fast


def _is_supported(model: Backbone) -> bool:
    on_cpu = all(
        parameter.device.type == "cpu" and parameter.dtype == torch.float32
        for parameter in model.parameters()
    )
    return on_cpu and SparseBackbone.fits(model)


def _with_sparse_layers(module: nn.Module, example: tuple[Any, ...]) -> nn.Module:
    if isinstance(module, Backbone):
        return _backbone(module, example)
    if fits(module):
        return sparse_layer(module) if is_faster(module) else module
    for name, child in module.named_children():
        setattr(module, name, _with_sparse_layers(child, example))
    return module
