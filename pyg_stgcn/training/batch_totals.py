"""Sizes of the batches of all processes, so that their losses add up to that of one process."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, distributed


class BatchTotals(NamedTuple):
    """Means over the processes.

    Args:
        weight: Clips, or the sum of their class weights. The sum of a process's losses over it,
            averaged over the processes as gradients are, is the mean over all clips.
        clips: Clips, in units of those of this process.
    """

    weight: Tensor
    clips: Tensor


def totals_over_processes(
    labels: Tensor, class_weights: Tensor | None, dtype: torch.dtype
) -> BatchTotals | None:
    """Sizes of a batch that several processes divide; :obj:`None` in a single process.

    The parts may differ: of a last, short batch, or by the weights of their classes.

    Args:
        labels: Class of every clip of this process.
        class_weights: Weight of every class in the loss (default: equal).
        dtype: Floating-point type of the loss.
    """
    if not distributed.is_initialized():
        return None
    count = torch.full((), len(labels), dtype=dtype, device=labels.device)
    weight = count if class_weights is None else class_weights[labels].sum().to(dtype)
    totals = torch.stack([weight, count])
    distributed.all_reduce(totals)
    mean = totals / distributed.get_world_size()
    return BatchTotals(mean[0], mean[1] / len(labels))
