"""Recordings to evaluate streams on: clips joined one after the other, or untrimmed ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.stream_metrics import Labels, Segment
from pyg_stgcn.progress import with_progress
from pyg_stgcn.runs.batches import clip_transform
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms import PadPersons, PreNormalize3D, UniformSample
from pyg_stgcn.transforms.clip_tensor import present_joints, split_persons
from pyg_stgcn.transforms.normalize import main_person

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamRecording:
    """A recording of one person, as a model reads it.

    Args:
        name: Its name.
        x: The input ``[V, T, C]``.
        segments: The actions, in time.
    """

    name: str
    x: Tensor
    segments: list[Segment]

    @property
    def labels(self) -> Labels:
        """Class of every frame ``[T]``; -1 for none.

        Where actions overlap, it is that of the one that begins last.
        """
        found = np.full(self.x.size(1), -1)
        for label, start, end, _ in self.segments:
            found[start:end] = label
        return found


class _Preparation:
    """Prepares one person for a model, in two steps with the joining of clips in between.

    Args:
        config: Configuration of the model's run.
        dataset: The clips.
    """

    def __init__(self, config: TrainOptions, dataset: SkeletonDataset) -> None:
        self._skeleton = dataset.skeleton
        self._scale = config.data.scale
        steps: list[BaseTransform] = clip_transform(
            config, dataset, train=False, num_views=1
        ).transforms
        self._normalize = steps[0]
        others = [s for s in steps[1:] if not isinstance(s, UniformSample | PadPersons)]
        self._make_streams = Compose(others)

    def person(self, item: Data) -> tuple[Data, Tensor]:
        """The main person, as a training chooses it, and the numbers of the frames kept.

        In 3-D, frames without the person are left out, as in a training.
        """
        joints = split_persons(item)
        present = present_joints(item, self._skeleton).view(joints.shape[:3])
        main = main_person(joints.double(), present)
        frames = torch.arange(joints.size(2))
        if isinstance(self._normalize, PreNormalize3D):
            frames = frames[present[main].any(dim=0)]
        one = Data(x=joints[main][:, frames], present=present[main][:, frames], num_persons=1)
        one.name = item.name
        if "image_size" in item:
            one.image_size = item.image_size
        return one, frames

    def normalize(self, person: Data, *, causal: bool) -> Data:
        """Normalise a person; the scale of a recording is that of its first frame."""
        if not (causal and self._scale and isinstance(self._normalize, PreNormalize3D)):
            return self._normalize(person)
        step = self._normalize
        person = PreNormalize3D(self._skeleton, step.align_spine, step.align_center)(person)
        person.x = person.x / _first_bone_length(person, self._skeleton)
        return person

    def finish(self, person: Data) -> Tensor:
        """The streams of a normalised person ``[V, T, C]``."""
        found: Tensor = self._make_streams(person).x
        return found


def joined_recordings(
    dataset: SkeletonDataset,
    config: TrainOptions,
    *,
    clips: int,
    pause: int,
    seed: int,
) -> Iterator[StreamRecording]:
    """Join clips in random order to recordings with known borders.

    Every clip is normalised before, as if one person of mean size did all actions at one place. Of
    several persons in a clip, the main one takes part. In a pause, the
    person moves from the last pose to the next; it has no label.

    Args:
        dataset: Labelled clips.
        config: Configuration of the model's run.
        clips: Clips of a recording; the last recording may have fewer.
        pause: Frames between two clips.
        seed: Seed of the order.
    """
    prepare = _Preparation(config, dataset)
    raw = dataset.copy()
    raw.transform = None
    order = np.random.default_rng(seed).permutation(len(raw))
    groups = [order[first : first + clips] for first in range(0, len(order), clips)]
    for number, group in enumerate(with_progress(groups, "evaluating, recordings")):
        parts: list[tuple[Tensor, Tensor]] = []
        segments, end = [], 0
        for clip in group.tolist():
            person, _ = prepare.person(raw[clip])
            person = prepare.normalize(person, causal=False)
            if parts and pause:
                parts.append(_pause(parts[-1], (person.x, person.present), pause))
                end += pause
            parts.append((person.x, person.present))
            segments.append(Segment(int(dataset.labels[clip]), end, end + person.x.size(1)))
            end = segments[-1].end
        x, present = (torch.cat(own, dim=1) for own in zip(*parts, strict=True))
        person.x, person.present = x, present
        yield StreamRecording(f"recording {number}", prepare.finish(person), segments)


def untrimmed_recordings(
    dataset: SkeletonDataset, config: TrainOptions, segments: Mapping[str, Sequence[Segment]]
) -> Iterator[StreamRecording]:
    """Recordings whose actions a file names.

    Args:
        dataset: The recordings, as its clips.
        config: Configuration of the model's run.
        segments: Actions of recordings, by name.

    Raises:
        InputError: The data lack a recording, or it ends before its last action.
    """
    numbers = {name: number for number, name in enumerate(dataset.names)}
    if missing := [name for name in segments if name not in numbers]:
        raise InputError(
            f"{config.data.dataset}: has no recording {missing[0]!r}, one of {len(missing)} that "
            f"only the segments name; its clips are called {', '.join(list(numbers)[:3])}, ..."
        )
    prepare = _Preparation(config, dataset)
    raw = dataset.copy()
    raw.transform = None
    for name, own in with_progress(list(segments.items()), "evaluating, recordings"):
        item = raw[numbers[name]]
        last = max((segment.end for segment in own), default=0)
        if last > item.x.size(1):
            raise InputError(
                f"{name}: has {item.x.size(1)} frames, but an action ends in frame {last - 1}; "
                "count frames from 0, as in the data"
            )
        person, frames = prepare.person(item)
        person = prepare.normalize(person, causal=True)
        found = []
        for segment in own:
            limits = torch.tensor([segment.start, segment.end])
            start, end = torch.searchsorted(frames, limits).tolist()
            if start < end:
                found.append(segment._replace(start=start, end=end))
            else:
                logger.warning(
                    "%s: nobody is seen in frames %d to %d; the action there is left out",
                    *(name, segment.start, segment.end - 1),
                )
        yield StreamRecording(name, prepare.finish(person), found)


def _pause(
    before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], frames: int
) -> tuple[Tensor, Tensor]:
    """Frames on the way from the last pose of one clip to the first of another."""
    weight = torch.arange(1, frames + 1).view(1, -1, 1) / (frames + 1)
    x = torch.lerp(before[0][:, -1:], after[0][:, :1], weight.to(before[0]))
    present = before[1][:, -1:] & after[1][:, :1]
    return x * present.unsqueeze(-1), present.expand(-1, frames)


def _first_bone_length(person: Data, skeleton: Skeleton) -> float:
    """Mean length of the bones in the first frame that shows one."""
    child, parent = torch.tensor(skeleton.bones, dtype=torch.long).view(-1, 2).t()
    both = person.present[child] & person.present[parent]
    lengths = (person.x[child] - person.x[parent]).norm(dim=-1) * both
    for frame in both.any(dim=0).nonzero().flatten().tolist():
        if (total := float(lengths[:, frame].sum())) > 0:
            return total / int(both[:, frame].sum())
    return 1.0
