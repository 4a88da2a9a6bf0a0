"""Windows of clips as a stream has them: between the frames of other clips."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.clip_tensor import clip_name, present_joints, split_persons, take_frames

#: The last and the first frames of clips: coordinates ``[M, V, T, C]`` and present joints.
_Part = tuple[Tensor, Tensor]


class StreamContext(BaseTransform):
    r"""Puts a window of a clip between other frames, as a stream has them.

    The window is a number of consecutive frames, at the frame rate of the clip: a stream does not
    know where an action begins and ends, so none is made slower or faster. Frames of the clip
    itself are around it as far as there are any, then those of other clips, as if one person did
    one after the other. Every person gets the frames of a person of these clips. A clip that is
    shorter than the window starts again when it ends.

    For training, the window and the other clips are random, from torch's global generator. For
    validation the window is in the middle, and the other clips depend on the name of the clip only.

    Args:
        others: The other clips, with a transform that makes them like those that come here.
        window: Frames of the window.
        context: Frames before it, and after it.
        train: Whether to draw at random.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, C)`, normalised
        - **output x:** :math:`(M \cdot V, \mathrm{context} + \mathrm{window} + \mathrm{context},
          C)`

    Raises:
        InputError: If a clip has no frames.
    """

    def __init__(self, others: SkeletonDataset, window: int, context: int, *, train: bool) -> None:
        self.others = others
        self.window = window
        self.context = context
        self.train = train

    def forward(self, data: Data) -> Data:
        _check_frames(data)
        generator = None
        if not self.train:
            generator = torch.Generator().manual_seed(zlib.crc32(clip_name(data).encode()))
        before, after = self._cut(data, generator)
        joints = split_persons(data)
        present = present_joints(data, self.others.skeleton).view(joints.shape[:3])
        parts = [
            *self._frames(data, before, generator, last=True),
            (joints, present),
            *self._frames(data, after, generator, last=False),
        ]
        data.x = torch.cat([part for part, _ in parts], dim=2).flatten(0, 1)
        data.present = torch.cat([part for _, part in parts], dim=2).flatten(0, 1)
        return data

    def _cut(self, data: Data, generator: torch.Generator | None) -> tuple[int, int]:
        """Keep the window and the frames around it; return how many are missing on each side."""
        length = data.x.size(1)
        spare = length - self.window
        if spare < 0:
            start = int(torch.randint(length, (), generator=generator)) if self.train else 0
            take_frames(data, (start + torch.arange(self.window)) % length)
            return self.context, self.context
        start = int(torch.randint(spare + 1, (), generator=generator)) if self.train else spare // 2
        first = max(0, start - self.context)
        end = min(length, start + self.window + self.context)
        take_frames(data, torch.arange(first, end))
        return self.context - (start - first), self.context - (end - start - self.window)

    def _frames(
        self, data: Data, count: int, generator: torch.Generator | None, *, last: bool
    ) -> list[_Part]:
        """So many frames of other clips, in their order in time."""
        found: list[_Part] = []
        clips = self._others(data, generator)
        while count > 0:
            joints, present = next(clips)
            # Of several persons, in turn.
            persons = torch.arange(data.num_persons) % len(joints)
            frames = slice(-count, None) if last else slice(count)
            joints, present = joints[persons, :, frames], present[persons, :, frames]
            found.insert(0 if last else len(found), (joints, present))
            count -= joints.size(2)
        return found

    def _others(self, data: Data, generator: torch.Generator | None) -> Iterator[_Part]:
        while True:
            number = int(torch.randint(len(self.others), (), generator=generator))
            other = self.others[number]
            if other.name == data.name:
                other = self.others[(number + 1) % len(self.others)]
            _check_frames(other)
            joints = split_persons(other)
            present = present_joints(other, self.others.skeleton)
            yield joints, present.view(joints.shape[:3])

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(window={self.window}, context={self.context}, "
            f"train={self.train})"
        )


def _check_frames(data: Data) -> None:
    if data.x.size(1) == 0:
        raise InputError(f"{clip_name(data)}: the clip has no frames; leave it out")
