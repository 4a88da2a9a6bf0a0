"""The faster graph product of a model, measured."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.graph_products import set_graph_product

#: Passes before the clock is read.
WARM_UP = 2


def measure_graph_product(
    model: nn.Module, clips: Sequence[Any], rounds: int = 10
) -> dict[str, float]:
    """Times a model with both graph products on its device, and chooses the faster one.

    A model in training mode is timed forward and backward, one in evaluation mode without
    gradients. Both products take turns. Weights, statistics, gradients and random numbers stay as
    they are.

    Args:
        model (torch.nn.Module): A backbone, with masks or without.
        clips (sequence): The arguments of the model, of the size of its use.
        rounds (int): Timed passes with each product. (default: :obj:`10`)

    Returns:
        dict: Median milliseconds of a pass by product, :obj:`"dense"` and :obj:`"sparse"`.

    Raises:
        InputError: If a product cannot be used, see :func:`~pyg_stgcn.models.set_graph_product`,
            or :obj:`rounds` is less than 1.

    Example:
        >>> model = create_model("stgcn", 60, "ntu25").cuda().train()
        >>> measure_graph_product(model, random_clips(model, 16, 2, 100))
    """
    if rounds < 1:
        raise InputError(f"rounds {rounds}: is too few; give at least 1")
    copies = {product: copy.deepcopy(model) for product in ("dense", "sparse")}
    for product, part in copies.items():
        set_graph_product(part, product)
    taken: dict[str, list[float]] = {product: [] for product in copies}
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for turn in range(WARM_UP + rounds):
            for product, part in copies.items():
                seconds = _seconds(part, clips, device)
                if turn >= WARM_UP:
                    taken[product].append(1000 * seconds)
    medians = {product: statistics.median(times) for product, times in taken.items()}
    set_graph_product(model, min(medians, key=medians.__getitem__))
    return medians


def _seconds(model: nn.Module, clips: Sequence[Any], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    with torch.set_grad_enabled(model.training):
        logits = model(*clips)
        if model.training:
            logits.sum().backward()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
