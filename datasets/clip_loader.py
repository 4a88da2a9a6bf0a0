"""Batches of clips of unequal length."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError


def pad_clips(clips: Sequence[Data]) -> Batch:
    """Batch clips of unequal length: the shorter ones get empty frames at their end.

    The coordinates of empty frames are zero, and no joint is ``present`` in them.

    Args:
        clips: Items of a :class:`SkeletonDataset`. They are not changed.

    Shapes:
        - **output:** as of PyG's loader, with ``x`` :math:`(P \\cdot V, T, C)`, ``present``
          :math:`(P \\cdot V, T)`, where :math:`T` is the length of the longest clip, and
          ``num_frames`` :math:`(N)`, the lengths of the clips

    Raises:
        InputError: If a clip has no :math:`(M \\cdot V, T, C)` coordinates.

    Example:
        >>> batch = pad_clips([dataset[0], dataset[1]])
        >>> batch.x.shape, batch.num_frames
        (torch.Size([40, 84, 3]), tensor([76, 84]))
    """
    for clip in clips:
        if clip.x is None or clip.x.dim() != 3:
            shape = None if clip.x is None else tuple(clip.x.shape)
            raise InputError(f"x of shape {shape}: no clip [M*V, T, C]; pad before that transform")
    longest = max(clip.x.size(1) for clip in clips)
    padded = []
    for clip in clips:
        other = copy.copy(clip)
        other.num_frames = clip.x.size(1)
        missing = longest - other.num_frames
        other.x = pad(clip.x, (0, 0, 0, missing))
        if "present" in clip:
            other.present = pad(clip.present, (0, missing))
        padded.append(other)
    return Batch.from_data_list(padded)


class ClipLoader(DataLoader[Data]):
    """Loader of clips of unequal length, which PyG's own loader cannot batch.

    Every batch is as long as its longest clip, see :func:`pad_clips`. Networks take empty frames
    for frames without a pose, and average over them too: for training, sample a fixed number of
    frames with :class:`~pyg_stgcn.transforms.UniformSample` and use PyG's loader.

    Args:
        dataset: The clips.
        batch_size: Number of clips of a batch.
        shuffle: Whether to draw a new order for every epoch.
        **options: Further options of :class:`torch.utils.data.DataLoader`.

    Example:
        >>> for batch in ClipLoader(dataset, batch_size=16):
        ...     logits = model(batch.x, batch.batch)
    """

    def __init__(
        self,
        dataset: Dataset[Data],
        batch_size: int = 1,
        shuffle: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(dataset, batch_size, shuffle, collate_fn=pad_clips, **options)
