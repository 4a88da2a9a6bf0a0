"""Compiles a trained model into one that skips its zeros."""

from __future__ import annotations

import statistics
import time
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.models.example_clips import random_clips
from pyg_stgcn.models.plain_copy import copy_plain
from pyg_stgcn.nn.sparse_products import has_products
from pyg_stgcn.runtime.compiled_backbone import SparseBackbone
from pyg_stgcn.runtime.compiled_parts import TOO_DENSE, own_weights, why_dense
from pyg_stgcn.runtime.native import kernels
from pyg_stgcn.runtime.products import SparseProducts, faster_weights, is_sparse
from pyg_stgcn.runtime.single import SparseLayer, make_sparse
from pyg_stgcn.runtime.supported import unsupported

#: Clips, persons and frames of the input for timing.
CLIPS, PERSONS, FRAMES = 1, 2, 100
#: A backbone that keeps a larger fraction of its weights is timed, compiled and dense.
TIMED_FROM, ROUNDS = 0.5, 5


def compile_sparse(model: nn.Module, *example: Any) -> nn.Module:
    r"""Compiles a trained model for inference, so that pruned weights and edges cost no time.

    A backbone of this package, also as an expert of an assembly, becomes a
    :class:`~pyg_stgcn.runtime.SparseBackbone`: batch norms and biases are folded into the weights,
    ReLU and residual paths into the layers; pruned edges and weights are removed. A backbone that
    keeps more than half of its weights is timed compiled and dense, and stays dense if that is
    faster. In any other model single layers are replaced if they have enough zeros to be faster
    than dense: :class:`torch.nn.Linear`, :class:`torch_geometric.nn.dense.Linear`,
    :class:`torch.nn.Conv1d`, :class:`torch.nn.Conv2d` over one of two dimensions, and classes
    derived from these that have the same ``forward``. Replaced layers keep their names, weights and
    hooks, and their class as a base class. They answer calls that the kernels cannot, such as those
    under autocast, with the dense product.

    The rest stays dense: it is copied with its masks folded in, gives the same outputs, and takes
    the time of a dense model. A warning names the first pruned part that is not supported;
    :func:`~pyg_stgcn.runtime.compile_report` lists all parts, with reasons.

    The kernels are for float32 on the CPU. Models of other types stay dense, and so do all models
    if the package was installed without its kernels (see :func:`~pyg_stgcn.runtime.kernels`). On a
    GPU, the products that torch-sparse computes faster are replaced, measured weight by weight.

    The model itself does not change.

    Args:
        model (torch.nn.Module): The trained model, with masks or with zeros.
        example: Arguments of the model, of a realistic size, for timing (default: for the models of
            this package one clip of two persons and 100 frames; others stay dense on a GPU).

    Returns:
        torch.nn.Module: A module with the same ``forward``, in evaluation mode. Outputs agree to
            1e-4. Its weights must not be changed. Its class, and the entries of its state dict,
            depend on the machine; :func:`~pyg_stgcn.recognition.save` writes a file for all.

    Raises:
        InputError: If a parameter has no values yet.

    Example:
        >>> model = create_model("stgcn", 60, "ntu25").eval()
        >>> fast = compile_sparse(model)
    """
    for name, parameter in model.named_parameters():
        if parameter.device.type == "meta" or isinstance(parameter, UninitializedParameter):
            raise InputError(
                f"{name}: has no values yet; load the weights or run the model once, then compile"
            )
    plain = copy_plain(model)
    if any(parameter.device.type == "cuda" for parameter in plain.parameters()):
        return _on_gpu(plain, example)
    if kernels() is None:
        return plain
    dense: list[str] = []
    compiled = _compiled(plain, example, dense, None, type(model).__name__)
    if dense:
        more = f", and {len(dense) - 1} more" if len(dense) > 1 else ""
        warnings.warn(
            f"not compiled: {dense[0]}{more}; this stays dense, see compile_report", stacklevel=2
        )
    return compiled


def _on_gpu(plain: nn.Module, example: tuple[Any, ...]) -> nn.Module:
    if not example and isinstance(plain, Backbone | Assembly):
        example = _clip(plain)
    if not example or not has_products(next(plain.parameters()).device):
        return plain
    names = faster_weights(plain, *example)
    return SparseProducts(plain, names) if names else plain


def _clip(model: Backbone | Assembly) -> tuple[Any, ...]:
    with torch.random.fork_rng(devices=[]):
        return random_clips(model, CLIPS, PERSONS, FRAMES)


def _backbone(model: Backbone, example: tuple[Any, ...], dense: list[str]) -> nn.Module:
    parameters = list(model.parameters())
    if any(part.device.type != "cpu" or part.dtype != torch.float32 for part in parameters):
        return model
    if reason := unsupported(model):
        dense.append(reason)
        return model
    compiled = SparseBackbone(model)
    is_dense = 1 - compiled.sparsity > TIMED_FROM
    if is_dense and _is_slower(compiled, model, example or _clip(model)):
        return model
    return compiled


@torch.inference_mode()
def _is_slower(compiled: nn.Module, model: nn.Module, example: tuple[Any, ...]) -> bool:
    """Times the compiled and the dense model on this machine."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(1 + ROUNDS):
        for module, own in zip((compiled, model), seconds, strict=True):
            start = time.perf_counter()
            module(*example)
            own.append(time.perf_counter() - start)
    # The first round warms up.
    slow, fast = (statistics.median(own[1:]) for own in seconds)
    return slow > fast


def _compiled(
    module: nn.Module,
    example: tuple[Any, ...],
    dense: list[str],
    parent: nn.Module | None,
    name: str,
) -> nn.Module:
    """Replaces the parts that are faster; adds pruned ones that cannot be replaced to ``dense``."""
    if isinstance(module, Backbone):
        return _backbone(module, example, dense)
    if isinstance(module, SparseLayer):
        return module  # a part of two modules
    for child_name, child in list(module.named_children()):
        compiled = _compiled(child, example, dense, module, f"{name}.{child_name}")
        if compiled is not child:
            setattr(module, child_name, compiled)
    if not own_weights(module):
        _avoid_fast_path(module)
        return module
    reason = why_dense(module, parent, name)
    if not reason:
        make_sparse(module)
    elif reason != TOO_DENSE and any(map(_is_pruned, own_weights(module))):
        dense.append(f"{name} has zeros, but {reason}")
    return module


def _avoid_fast_path(module: nn.Module) -> None:
    """Lets a transformer layer call its linear layers, if these are sparse.

    Its fast path reads their weights instead, which gives the same at the time of dense layers.
    """
    if isinstance(module, nn.TransformerEncoderLayer) and any(
        isinstance(layer, SparseLayer) for layer in (module.linear1, module.linear2)
    ):
        module.activation_relu_or_gelu = 0


def _is_pruned(weight: Tensor) -> bool:
    plain = weight.device.type == "cpu" and weight.layout == torch.strided
    return plain and weight.dtype == torch.float32 and is_sparse(weight)
