"""Training on windows of a stream: frames around a clip are seen, but not pooled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, Backbone
from pyg_stgcn.models.temporal_reach import Reach, temporal_reach
from pyg_stgcn.progress import tell
from pyg_stgcn.runs.batches import clip_transform
from pyg_stgcn.runs.options import TrainOptions


class StreamWindow(nn.Module):
    """Maps windows with the frames around them to logits; only features of the window count.

    A network applied to a clip sees zeros before its first frame and after its last. Here there are
    so many frames around the window that no feature of it depends on these zeros, as in a stream.

    Args:
        model (Backbone or Assembly): Networks whose graphs do not depend on the clip.

    Shapes:
        - **x:** :math:`(P V, \\mathrm{context} + T + \\mathrm{context}, C)`, where the frames of
          context are :attr:`context`
        - **output:** logits :math:`(N, \\mathrm{classes})`, and those of every expert's own
          classifier

    Raises:
        InputError: If a feature of the model depends on all frames of a clip.
    """

    def __init__(self, model: Backbone | Assembly) -> None:
        super().__init__()
        self.model = model
        self.reaches = [_reach_of(backbone) for backbone in _backbones(model)]
        self.context = _context_frames(self.reaches)

    def forward(self, x: Tensor, batch: Tensor, batch_size: int) -> tuple[Tensor, list[Tensor]]:
        """Maps windows to logits."""
        frames = x.size(1) - 2 * self.context
        found = self.model.forward_features(x, batch, batch_size)
        maps = [found] if isinstance(found, Tensor) else found
        maps = [
            part[:, self.context // reach.stride :][:, : math.ceil(frames / reach.stride)]
            for part, reach in zip(maps, self.reaches, strict=True)
        ]
        if isinstance(self.model, Assembly):
            return self.model.forward_heads(maps, batch, batch_size)
        return self.model.forward_head(maps[0], batch, batch_size), []


def stream_window(
    model: nn.Module, train: SkeletonDataset, val: SkeletonDataset, config: TrainOptions
) -> StreamWindow | None:
    """Turn all clips into windows of a stream, if the options say so.

    Args:
        model: A backbone or an assembly.
        train: Training clips; their transform is replaced.
        val: Validation clips.
        config: Complete, as :meth:`TrainOptions.with_recipe` leaves it.

    Returns:
        The module that reads the windows; ``None`` for a training on clips.

    Raises:
        InputError: If a feature of the model depends on all frames of a clip.
    """
    if config.data.context != "stream":
        return None
    window = StreamWindow(cast(Backbone | Assembly, model))
    for dataset, is_train in ((train, True), (val, False)):
        dataset.transform = clip_transform(
            config, dataset, train=is_train, num_views=1, context=window.context
        )
    rank_zero_only(tell)(
        f"stream: windows of {config.data.clip_frames} frames, with {window.context} of other "
        "clips before and after"
    )
    return window


def _backbones(model: Backbone | Assembly) -> list[Backbone]:
    return cast(list[Backbone], list(model.experts)) if isinstance(model, Assembly) else [model]


def _reach_of(backbone: Backbone) -> Reach:
    reach = temporal_reach(backbone)
    if reach is None:
        raise InputError(
            f"context 'stream': the graphs of {type(backbone).__name__} depend on all frames of a "
            "clip, and so do all features; choose 'stgcn' or 'stgcnpp', or leave the option out: "
            "streams run other networks on windows, as in a training on clips"
        )
    return reach


def _context_frames(reaches: Sequence[Reach]) -> int:
    """Frames that hold the reach and one more, whose motion is that of the next; a multiple of all
    strides, so that feature maps begin with the window.
    """
    stride = math.lcm(*(reach.stride for reach in reaches))
    farthest = max(max(reach.before, reach.after) for reach in reaches)
    return stride * (farthest // stride + 1)
