"""Answers of a model to every frame of a stream, by the definition of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pyg_stgcn.models import Assembly, Backbone
from pyg_stgcn.models.temporal_reach import Reach, temporal_reach

#: Frames of feature maps that are computed at once, and windows of networks that see whole clips.
_MAPS, _WINDOWS = 1024, 64
#: Frames from one window to the next, as in the engine.
HOP = 4


@dataclass(frozen=True)
class StreamAnswers:
    """The answers to the frames of a recording, each at the moment when the frame has been seen.

    Args:
        probabilities: Of all classes ``[T, classes]``; NaN before the first answer.
        about: The frame in the middle of what an answer is about ``[T]``; -1 before the first.
        is_new: Whether the answer of a frame is another one than that of the frame before ``[T]``.
        lag: Most frames from that middle to the moment of the answer.
        final: Probabilities after the end of the recording ``[classes]``, when what a clip has
            after its last frame follows; None without frames.
        final_about: The frame in the middle of what that answer is about.
    """

    probabilities: NDArray[np.float32]
    about: NDArray[np.int64]
    is_new: NDArray[np.bool_]
    lag: int
    final: NDArray[np.float32] | None = None
    final_about: int = -1

    @property
    def live(self) -> NDArray[np.int64]:
        """The answer at the moment of every frame ``[T]``; -1 for none."""
        known = self.about >= 0
        return np.where(known, np.nan_to_num(self.probabilities).argmax(axis=1), -1)

    @property
    def settled(self) -> NDArray[np.int64]:
        """The answer whose middle is every frame, or the first after it ``[T]``; -1 for none.

        Where there is none after it, it is the final answer.
        """
        live, num_frames = self.live, len(self.about)
        # Later frames have later middles.
        moments = np.searchsorted(self.about, np.arange(num_frames))
        return np.append(live, -1 if self.final is None else self.final.argmax())[moments]


class _Pooled(NamedTuple):
    """Features in the window up to each frame of the feature maps.

    Args:
        features: ``[J, F]``.
        stride: Frames of the input from one to the next.
        delay: Frames of the input from the middle of a frame of the feature maps to the moment when
            it is complete.
    """

    features: Tensor
    stride: int
    delay: int


def answer_frames(
    model: nn.Module,
    x: Tensor,
    window: int,
    *,
    behind: int = 0,
    temperature: float = 1.0,
    device: torch.device | str = "cpu",
) -> StreamAnswers:
    """Answer every frame of one person's recording.

    An answer is about those features of the network, applied to the whole recording, that later
    frames cannot change: the mean of the last of them, as many as are in the window. The final
    answer is about all features. The engine computes the same, frame by frame. Networks whose
    graphs depend on the whole clip see the window as a clip, every fourth frame and at the end.

    Args:
        model (Backbone or Assembly): In evaluation mode.
        x: The prepared recording ``[V, T, C]``.
        window: Frames that an answer is about.
        behind: Frames that the input is behind the recording: 1 for motion, which needs the next.
        temperature: Divides the logits before the softmax.
        device: Where to compute.
    """
    model, x = model.to(device), x.to(device)
    experts = list(model.experts) if isinstance(model, Assembly) else [model]
    backbones = cast(list[Backbone], experts)
    reaches = [temporal_reach(backbone) for backbone in backbones]
    exact = [reach for reach in reaches if reach is not None]
    with torch.inference_mode():
        if len(exact) < len(reaches):
            logits, places = _read_windows(model, x, window, behind)
            delay = behind
        else:
            pairs = zip(backbones, exact, strict=True)
            pooled = [_pool(backbone, reach, x, window) for backbone, reach in pairs]
            logits, places = _read_features(model, pooled, x.size(1), behind)
            delay = behind + max(part.delay for part in pooled)
    return _as_answers(logits / temperature, places, window, delay)


def _pool(backbone: Backbone, reach: Reach, x: Tensor, window: int) -> _Pooled:
    num_frames = x.size(1)
    stride, total = reach.stride, -(-num_frames // reach.stride)
    before = -(-reach.before // stride)
    parts = []
    for first in range(0, total, _MAPS):
        last = min(first + _MAPS, total)
        start = max(0, first - before)
        frames = x[:, start * stride : (last - 1) * stride + reach.after + 1]
        maps = backbone.forward_features(frames.contiguous())[0]
        parts.append(maps[first - start : last - start].mean(dim=1))
    size = -(-window // stride)  # As many as a clip of the window has.
    features = torch.cat(parts) if parts else x.new_zeros(0, backbone.num_features)
    sums = torch.cat([features.new_zeros(1, features.size(1)), features]).double().cumsum(0)
    ends = torch.arange(1, len(features) + 1, device=x.device)
    starts = (ends - size).clamp(min=0)
    mean = (sums[ends] - sums[starts]) / (ends - starts).unsqueeze(1)
    return _Pooled(mean.to(features.dtype), stride, reach.after)


def _read_features(
    model: nn.Module, pooled: Sequence[_Pooled], num_frames: int, behind: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """Logits of all answers, the final one last, and the number of the answer at the moment of
    every frame.
    """
    time = np.arange(num_frames)
    # Frames of the feature maps that are complete, of each network.
    newest = np.stack([(time - behind - part.delay) // part.stride for part in pooled], axis=1)
    answered = (newest >= 0).all(axis=1)
    different, places = np.unique(newest[answered], axis=0, return_inverse=True)
    if num_frames:
        different = np.vstack([different, [len(part.features) - 1 for part in pooled]])
    rows = torch.from_numpy(different).to(pooled[0].features.device)
    features = [part.features[row] for part, row in zip(pooled, rows.T, strict=True)]
    if isinstance(model, Assembly):
        logits = model.head(model.mean_features(torch.stack(features)))
    else:
        logits = cast(Backbone, model).head(features[0])
    found = np.full(num_frames, -1)
    found[answered] = places.ravel()
    return logits, found


def _read_windows(
    model: nn.Module, x: Tensor, window: int, behind: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """The same of networks that see the whole window."""
    num_joints, num_frames, _ = x.shape
    ends = np.arange(window, num_frames + 1, HOP)
    logits = [x.new_zeros(0, cast(int, model.num_classes))]
    for first in range(0, len(ends), _WINDOWS):
        group = ends[first : first + _WINDOWS].tolist()
        clips = torch.cat([x[:, end - window : end] for end in group])
        batch = torch.arange(len(group), device=x.device).repeat_interleave(num_joints)
        logits.append(model(clips, batch, len(group)))
    if num_frames:
        logits.append(model(x[:, -window:].contiguous()))
    return torch.cat(logits), np.maximum((np.arange(num_frames) + 1 - behind - window) // HOP, -1)


def _as_answers(
    logits: Tensor, places: NDArray[np.int64], window: int, delay: int
) -> StreamAnswers:
    probabilities = logits.double().softmax(dim=-1).float().cpu().numpy()
    nothing = np.full((1, logits.size(1)), np.nan, np.float32)
    time = np.arange(len(places))
    complete = time + 1 - delay
    about = np.maximum(0, complete - 1 - np.minimum(window, complete) // 2)
    return StreamAnswers(
        np.concatenate([probabilities, nothing])[places],
        np.where(places >= 0, about, -1),
        (places >= 0) & (np.diff(places, prepend=-1) > 0),
        delay + window // 2,
        probabilities[-1] if len(time) else None,
        len(time) - 1 - min(window, len(time)) // 2,
    )
