"""Clips of unequal length in one tensor: a row for every frame of every person."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


class Rows:
    r"""Numbers of the rows of a batch: all frames of the first person of the first clip, then those
    of its second person, and so on.

    They are known before the clips are on their device, and computed on the CPU.

    Args:
        persons: Persons of every clip.
        frames: Frames of every clip.
    """

    def __init__(self, persons: Sequence[int], frames: Sequence[int]) -> None:
        # In NumPy, which is several times as fast as torch with this few numbers.
        of_clip, lengths_of_clip = (np.asarray(x, np.int64) for x in (persons, frames))
        self.num_clips = len(of_clip)
        self.num_persons = int(of_clip.sum())
        owner = np.arange(self.num_clips).repeat(of_clip)
        lengths = lengths_of_clip[owner]
        self.count = int(lengths.sum())
        start = lengths.cumsum() - lengths
        person = np.arange(self.num_persons).repeat(lengths)
        clip = owner[person]
        frame = np.arange(self.count) - start[person]
        #: Frames of every clip.
        self.frames = torch.from_numpy(lengths_of_clip)
        #: First person of every clip.
        self.first = torch.from_numpy(of_clip.cumsum() - of_clip)
        #: Clip of every person.
        self.owner = torch.from_numpy(owner)
        #: First row of every person.
        self.start = torch.from_numpy(start)
        #: Person of every row.
        self.person = torch.from_numpy(person)
        #: Clip of every row.
        self.clip = torch.from_numpy(clip)
        #: Frame of every row, counted from the first of its clip.
        self.frame = torch.from_numpy(frame)
        #: Frame of every row, counted from the first of the batch; persons share their frames.
        moment = (lengths_of_clip.cumsum() - lengths_of_clip)[clip] + frame
        self.moment = torch.from_numpy(moment)
        #: Mask of the rows that are the last of their person.
        self.is_last = torch.from_numpy(frame == lengths_of_clip[clip] - 1)

    def taken(self, frames: Tensor, new: Rows) -> Tensor:
        """The row of every new row.

        Args:
            frames: Frame of every new frame of every clip, one clip after the other.
            new: Numbers of the new rows, of the same persons.
        """
        return self.start[new.person] + frames[new.moment]

    def sum_by_person(self, values: Tensor) -> Tensor:
        """Sums over the rows of every person, :math:`(R, *)` to :math:`(P, *)`."""
        return values.new_zeros(self.num_persons, *values.shape[1:]).index_add_(
            0, self.person, values
        )


class ClipRows:
    r"""The clips of a batch while they are transformed, on their device.

    Rows come last: a number of a clip is broadcast over contiguous memory.

    Args:
        x: Channels of all joints in all rows.
        present: Mask of the present joints, until frames are sampled.
        in_plane: Whether the clips have an image size.

    Shapes:
        - **x:** :math:`(C, V, R)`
        - **present:** :math:`(V, R)`
    """

    def __init__(self, x: Tensor, present: Tensor, *, in_plane: bool) -> None:
        self.x = x
        self.present = present
        self.in_plane = in_plane

    @property
    def axes(self) -> int:
        """The number of leading channels that are coordinates."""
        return 2 if self.in_plane else self.x.size(0)

    @property
    def has_score(self) -> bool:
        """Whether the last channel is the score of a 2-D joint."""
        return self.in_plane and self.x.size(0) == 3

    def take(self, index: Tensor) -> None:
        """Make new rows out of those with these numbers."""
        self.x = pick(self.x, index)
        self.present = pick(self.present, index)

    def drop(self, dropped: Tensor) -> None:
        """Make joints missing, with a mask that can be broadcast to :math:`(V, R)`."""
        self.x = self.x.masked_fill(dropped, 0)
        self.present = self.present & ~dropped


def pick(values: Tensor, index: Tensor) -> Tensor:
    r"""Entries of the last dimension, :math:`(*, N)` and :math:`(R)` to :math:`(*, R)`."""
    # index_select takes several times as long on a CPU.
    return values.gather(-1, index.expand(*values.shape[:-1], -1))


def smallest_by(values: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """The smallest value of every group; none is empty."""
    found = values.new_empty(num_groups)
    return found.scatter_reduce_(0, groups, values, "amin", include_self=False)


def largest_by(values: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """The largest value of every group; none is empty."""
    found = values.new_empty(num_groups)
    return found.scatter_reduce_(0, groups, values, "amax", include_self=False)


def map_rows(x: Tensor, matrices: Tensor, clip: Tensor) -> Tensor:
    r"""Multiply the coordinates of every row by the matrix of its clip.

    Shapes:
        - **x:** :math:`(D, V, R)`
        - **matrices:** :math:`(D, D, N)`
        - **clip:** :math:`(R)`
    """
    by_row = pick(matrices, clip).unsqueeze(2)
    # A product of matrices this small would be many times slower.
    mapped = by_row[:, 0] * x[0]
    for axis in range(1, len(x)):
        mapped.addcmul_(by_row[:, axis], x[axis])
    return mapped


@lru_cache(maxsize=256)
def constant(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers on a device: copied once, not in every batch."""
    return torch.tensor(values, dtype=torch.long, device=device)
