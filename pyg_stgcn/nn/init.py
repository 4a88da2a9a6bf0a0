"""Initial weights of several layers."""

from __future__ import annotations

import torch
from torch import nn


def fan_out_(layer: nn.Linear | nn.Conv2d, groups: int = 1) -> None:
    r"""Draws weights from :math:`\mathcal{N}(0, 2 / \mathrm{fan\_out})` and clears the bias.

    Args:
        layer (torch.nn.Module): The layer.
        groups (int): How many maps side by side the layer stands for: each of them has its own,
            smaller, fan out. (default: :obj:`1`)
    """
    fan_out = layer.weight.size(0) * layer.weight[0, 0].numel() / groups
    with torch.no_grad():
        # The same numbers in any memory order.
        drawn = torch.empty_like(layer.weight, memory_format=torch.contiguous_format)
        layer.weight.copy_(drawn.normal_(std=(2 / fan_out) ** 0.5))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
