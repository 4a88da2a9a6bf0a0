"""Clips of unequal length in one tensor: a row for every frame of every person."""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
from torch import Tensor


class Rows:
    r"""Numbers of the rows of a batch: all frames of the first person of the first clip, then those
    of its second person, and so on.

    Everything else is computed on the device from two small tensors, without synchronisation.

    Args:
        owner: Clip of every person, in ascending order.
        frames: Frames of every clip.
        count: Number of rows :math:`R`.

    Shapes:
        - **owner:** :math:`(P)`
        - **frames:** :math:`(N)`
    """

    def __init__(self, owner: Tensor, frames: Tensor, count: int) -> None:
        self.owner = owner
        self.frames = frames
        self.count = count

    @property
    def num_persons(self) -> int:
        return len(self.owner)

    @property
    def num_clips(self) -> int:
        return len(self.frames)

    @cached_property
    def first(self) -> Tensor:
        """First person of every clip."""
        return torch.searchsorted(self.owner, _numbers(self.num_clips, self.owner))

    @cached_property
    def start(self) -> Tensor:
        """First row of every person."""
        lengths = self.frames[self.owner]
        return lengths.cumsum(0) - lengths

    @cached_property
    def person(self) -> Tensor:
        """Person of every row."""
        lengths = self.frames[self.owner]
        persons = _numbers(self.num_persons, lengths)
        return persons.repeat_interleave(lengths, output_size=self.count)

    @cached_property
    def clip(self) -> Tensor:
        """Clip of every row."""
        return self.owner[self.person]

    @cached_property
    def frame(self) -> Tensor:
        """Frame of every row, counted from the first of its clip."""
        return _numbers(self.count, self.owner) - self.start[self.person]

    @cached_property
    def moment(self) -> Tensor:
        """Frame of every row, counted from the first of the batch; persons share their frames."""
        return (self.frames.cumsum(0) - self.frames)[self.clip] + self.frame

    @cached_property
    def is_last(self) -> Tensor:
        """Mask of the rows that are the last of their person."""
        return self.frame == self.frames[self.clip] - 1

    def sum_by_person(self, values: Tensor) -> Tensor:
        """Sums over the rows of every person, :math:`(*, R)` to :math:`(*, P)`."""
        total = values.new_zeros(*values.shape[:-1], self.num_persons)
        return total.index_add_(-1, self.person, values)

    def sum_by_clip(self, values: Tensor) -> Tensor:
        """Sums over the rows of every clip, :math:`(R)` to :math:`(N)`."""
        return values.new_zeros(self.num_clips).index_add_(0, self.clip, values)


class ClipRows:
    r"""The clips of a batch while they are transformed.

    Rows come last: a number of a clip is broadcast over contiguous memory.

    Args:
        x: Channels of all joints in all rows.
        present: Mask of the present joints.
        rows: Numbers of the rows.
        in_plane: Whether the clips have an image size.

    Shapes:
        - **x:** :math:`(C, V, R)`
        - **present:** :math:`(V, R)`
    """

    def __init__(self, x: Tensor, present: Tensor, rows: Rows, *, in_plane: bool) -> None:
        self.x = x
        self.present = present
        self.rows = rows
        self.in_plane = in_plane

    @property
    def axes(self) -> int:
        """The number of leading channels that are coordinates."""
        return 2 if self.in_plane else self.x.size(0)

    @property
    def has_score(self) -> bool:
        """Whether the last channel is the score of a 2-D joint."""
        return self.in_plane and self.x.size(0) == 3

    def take(self, index: Tensor, rows: Rows) -> None:
        """Make new rows out of those with the numbers of :obj:`index`."""
        self.x = self.x.index_select(2, index)
        self.present = self.present.index_select(1, index)
        self.rows = rows

    def rows_of(self, frames: Tensor, rows: Rows) -> Tensor:
        """The present row of every new row.

        Args:
            frames: Present frame of every new frame of every clip, one clip after the other.
            rows: Numbers of the new rows, of the same persons.
        """
        return self.rows.start[rows.person] + frames[rows.moment]


def smallest_by(values: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """The smallest value of every group; none is empty."""
    found = values.new_empty(num_groups)
    return found.scatter_reduce_(0, groups, values, "amin", include_self=False)


def largest_by(values: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """The largest value of every group; none is empty."""
    found = values.new_empty(num_groups)
    return found.scatter_reduce_(0, groups, values, "amax", include_self=False)


def map_rows(x: Tensor, matrices: Tensor) -> Tensor:
    r"""Multiply the coordinates of every row by a matrix of its own.

    Shapes:
        - **x:** :math:`(D, V, R)`
        - **matrices:** :math:`(D, D, R)`
    """
    # A product of matrices this small would be many times slower.
    mapped = matrices[:, 0, None] * x[0]
    for axis in range(1, len(x)):
        mapped.addcmul_(matrices[:, axis, None], x[axis])
    return mapped


@lru_cache(maxsize=256)
def constant(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers on a device: copied once, not in every batch."""
    return torch.tensor(values, dtype=torch.long, device=device)


def _numbers(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, device=like.device)
