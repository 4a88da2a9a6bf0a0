"""Clips of noise, for timing and tracing."""

from __future__ import annotations

import torch
from torch_geometric.data import Batch, Data

from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone


def random_batch(
    model: Backbone | Assembly, num_clips: int, num_persons: int, num_frames: int
) -> Batch:
    """Clips of noise that a model accepts.

    Args:
        model: The backbone or assembly.
        num_clips: Number of clips :math:`N`.
        num_persons: Persons in each, :math:`M`.
        num_frames: Frames of each, :math:`T`.
    """
    weight = next(model.parameters())
    shape = (num_persons * model.skeleton.num_joints, num_frames, model.in_channels)
    clips = [
        Data(x=torch.randn(shape, dtype=weight.dtype), num_persons=num_persons)
        for _ in range(num_clips)
    ]
    return Batch.from_data_list(clips).to(weight.device)
