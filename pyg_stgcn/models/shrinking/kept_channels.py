"""Channels of features that a smaller network computes, and the constants of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Channels:
    """The channels of features: which of them are computed, and the values of the others.

    The others are the same for all clips and in all frames, and mostly at all joints.

    Args:
        index: The channels that are computed, in their order, ``[c]``.
        value: The values of the others, ``[1, C]`` or one row per joint ``[V, C]``. At computed
            channels, the bias that the layer adds.
        multiples: How many times one of the computed channels, ``one``, every other channel is,
            ``[C]``; zero for those that do not depend on it.
        one: This channel.
    """

    index: Tensor
    value: Tensor
    multiples: Tensor | None = None
    one: int = -1

    @property
    def kept(self) -> Tensor:
        """True for the channels that are computed, ``[C]``."""
        kept = torch.zeros(self.value.size(1), dtype=torch.bool)
        kept[self.index] = True
        return kept

    @property
    def constants(self) -> Tensor:
        """The values of the channels that are not computed, zero at the others."""
        return same_at_all_joints(self.value.masked_fill(self.kept, 0))

    def columns(self, weight: Tensor) -> Tensor:
        """The weights ``[C', C, ...]`` of a map for the computed channels."""
        cut = weight[:, self.index]
        if self.multiples is not None:
            more = torch.tensordot(weight, self.multiples, ([1], [0]))
            cut[:, self.index == self.one] += more.unsqueeze(1)
        return cut

    def relu(self) -> Channels:
        """The channels after a ReLU."""
        return Channels(self.index, self.value.relu())

    def plus(self, other: Channels) -> Channels:
        """The channels of a sum: these first, then those that only the other has."""
        return Channels(self.index, self.constants + other.constants).with_kept(other.kept)

    def part(self, start: int, end: int) -> Channels:
        """Some of the channels, next to each other."""
        return kept_where(self.kept[start:end], self.value[:, start:end])

    def with_kept(self, kept: Tensor) -> Channels:
        """The same, with more computed channels at the end."""
        more = (kept & ~self.kept).nonzero().view(-1)
        return Channels(torch.cat([self.index, more]), self.value)

    def places(self, index: Tensor) -> Tensor:
        """The places of the computed channels among others, which include them."""
        place = torch.full((self.value.size(1),), -1)
        place[index] = torch.arange(len(index))
        return place[self.index]


@dataclass(frozen=True)
class Cut:
    """A part of a network whose output is added to that of another.

    Args:
        channels: The channels of its output.
        finish: Adds the tensors of its last layer: gives it the channels ``index`` of the sum, and
            adds the constants ``[1, C]`` or ``[V, C]`` of the other part.
    """

    channels: Channels
    finish: Callable[[Tensor, Tensor], None]


def kept_where(kept: Tensor, value: Tensor) -> Channels:
    """The channels for which a mask is true, or else the first: no layer is without channels."""
    index = kept.nonzero().view(-1)
    if not len(index):
        index = torch.zeros(1, dtype=torch.long)
    return Channels(index, same_at_all_joints(value))


def all_kept(channels: int) -> Channels:
    """Channels that are all computed."""
    return Channels(torch.arange(channels), torch.zeros(1, channels).double())


def join(parts: list[Channels]) -> Channels:
    """The channels of features side by side."""
    joints = max(len(part.value) for part in parts)
    values = [part.value.expand(joints, -1) for part in parts]
    return kept_where(torch.cat([part.kept for part in parts]), torch.cat(values, 1))


def same_at_all_joints(value: Tensor) -> Tensor:
    """One row ``[1, C]`` if the values ``[V, C]`` do not depend on the joint, else the values."""
    return value[:1] if bool((value == value[:1]).all()) else value
