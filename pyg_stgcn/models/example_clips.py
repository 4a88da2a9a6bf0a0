"""Clips of noise that a model accepts: to time it, to count its operations, to trace it."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone


def random_clips(
    model: Backbone | Assembly, num_clips: int, num_persons: int, num_frames: int
) -> tuple[Tensor, Tensor, int]:
    """Clips of noise as the arguments of a model: ``model(*random_clips(model, 8, 2, 100))``.

    Args:
        model: The backbone or assembly.
        num_clips: Number of clips :math:`N`.
        num_persons: Persons of each clip :math:`M`.
        num_frames: Frames of each clip :math:`T`.

    Returns:
        ``x`` :math:`(N M V, T, C)` and ``batch`` :math:`(N M V)`, on the device of the model, and
        the number of clips.
    """
    weight = next(model.parameters())
    nodes = num_persons * model.skeleton.num_joints
    shape = (num_clips * nodes, num_frames, model.in_channels)
    x = torch.randn(shape, dtype=weight.dtype).to(weight.device)
    batch = torch.arange(num_clips, device=weight.device).repeat_interleave(nodes)
    return x, batch, num_clips
