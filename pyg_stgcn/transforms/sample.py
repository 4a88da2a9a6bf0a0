"""Sampling of a fixed number of frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.clip_tensor import clip_name, take_frames


@functional_transform("uniform_sample")
class UniformSample(BaseTransform):
    r"""Draws frames spread evenly over a clip, from `"Revisiting Skeleton-based Action
    Recognition" <https://arxiv.org/abs/2104.13586>`_ (functional name: :obj:`uniform_sample`).

    A clip is cut into :obj:`clip_frames` pieces and one frame drawn from each. Shorter clips start
    again when they end; clips of less than twice the length skip or keep frames at random. For
    training the draws come from torch's global generator. For testing they depend on the number
    of frames, the options and :obj:`seed` alone, and equal those of PYSKL.

    Args:
        clip_frames: The number of frames to draw.
        num_views: How often to draw; the draws follow each other on the time axis.
        train: Whether to draw at random.
        seed: The seed of testing.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, C)`
        - **output x:** :math:`(M \cdot V, \text{num\_clips} \cdot \text{clip\_frames}, C)`;
          ``num_views`` is added to the clip

    Raises:
        InputError: If a number is below one, or a clip has no frames.
    """

    def __init__(
        self, clip_frames: int, num_views: int = 1, train: bool = True, seed: int = 255
    ) -> None:
        for name, number in (("clip_frames", clip_frames), ("num_views", num_views)):
            if number < 1:
                raise InputError(f"{name}: {number} is too few; give at least 1")
        self.clip_frames = clip_frames
        self.num_views = num_views
        self.train = train
        self.seed = seed

    def forward(self, data: Data) -> Data:
        take_frames(data, self.draw(data.x.size(1), clip_name(data)))
        data.num_views = self.num_views
        return data

    def draw(self, num_frames: int, name: str) -> Tensor:
        """The numbers of the frames to take of a clip."""
        if num_frames == 0:
            raise InputError(f"{name}: the clip has no frames; leave it out")
        if not self.train:
            return _frames_for_testing(num_frames, self.clip_frames, self.num_views, self.seed)
        draws = [sample_train_frames(num_frames, self.clip_frames) for _ in range(self.num_views)]
        return torch.cat(draws)

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}({self.clip_frames}, num_views={self.num_views}, "
            f"train={self.train})"
        )


def sample_train_frames(num_frames: int, clip_frames: int) -> Tensor:
    """Draws frame numbers for training, shape :math:`(L)`, from torch's global generator."""
    if num_frames < clip_frames:
        return (torch.arange(clip_frames) + torch.randint(num_frames, ())) % num_frames
    if num_frames < 2 * clip_frames:
        skipped = torch.zeros(clip_frames + 1, dtype=torch.long)
        skipped[torch.randperm(clip_frames + 1)[: num_frames - clip_frames]] = 1
        return torch.arange(clip_frames) + skipped.cumsum(0)[:-1]
    starts, sizes = _pieces(num_frames, clip_frames)
    # A number just below one, times the size, may round to the size.
    return starts + torch.minimum((torch.rand(clip_frames) * sizes).long(), sizes - 1)


@lru_cache(maxsize=1024)
def _pieces(num_frames: int, clip_frames: int) -> tuple[Tensor, Tensor]:
    """The first frame and the number of frames of every piece of a clip."""
    edges = torch.arange(clip_frames + 1) * num_frames // clip_frames
    return edges[:-1], edges.diff()


def sample_test_frames(
    num_frames: int, clip_frames: int, num_views: int, seed: int = 255
) -> Tensor:
    """The frame numbers of testing, shape :math:`(n L)`, in the order of PYSKL's generator."""
    # The legacy generator: only its stream gives the frames of published test results.
    generator = np.random.RandomState(seed)
    steps = np.arange(clip_frames)
    clips = []
    for clip in range(num_views):
        # PYSKL draws the fraction of the clip to use, even where it can only be all of it.
        generator.random_sample()
        if num_frames < clip_frames:
            start = clip if num_frames < num_views else clip * num_frames // num_views
            frames = start + steps
        elif num_frames < 2 * clip_frames:
            chosen = generator.choice(clip_frames + 1, num_frames - clip_frames, replace=False)
            skipped = np.zeros(clip_frames + 1, dtype=np.int64)
            skipped[chosen] = 1
            frames = steps + skipped.cumsum()[:-1]
        else:
            edges = np.arange(clip_frames + 1) * num_frames // clip_frames
            frames = edges[:-1] + generator.randint(np.diff(edges))
        clips.append(frames)
    return torch.from_numpy(np.concatenate(clips) % num_frames)


# Clips of a dataset have few lengths, and seeding the generator costs more than all the rest.
_frames_for_testing = lru_cache(maxsize=1024)(sample_test_frames)
