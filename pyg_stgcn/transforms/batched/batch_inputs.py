"""The input of a model, made of a batch of clips: repair, streams, frames and persons."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.transforms.batched.batch_rows import ClipRows, Rows, constant, pick
from pyg_stgcn.transforms.batched.batch_step import (
    ClipShape,
    Draws,
    Prepared,
    Step,
    StoredRows,
)
from pyg_stgcn.transforms.persons import PadPersons
from pyg_stgcn.transforms.sample import UniformSample
from pyg_stgcn.transforms.stream import ToStream


class FillIn(Step):
    """:class:`~pyg_stgcn.transforms.Interpolate` of a batch."""

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        first = after.start[after.person]
        return torch.arange(after.count), first, first + after.frames[after.clip] - 1

    def apply(self, clips: ClipRows, numbers: Tensor, first: Tensor, last: Tensor) -> None:
        x, present, count = clips.x, clips.present, len(numbers)
        before = torch.where(present, numbers, -1).cummax(1).values
        after = torch.where(present, numbers, count).flip(1).cummin(1).values.flip(1)
        has_before, has_after = before >= first, after <= last
        start = torch.where(has_before, before, after)
        end = torch.where(has_after, after, before)
        fill = ~present & (has_before | has_after)
        # Those of other persons are not used.
        start, end = (index.clamp(0, count - 1) for index in (start, end))
        weight = ((numbers - start) / (end - start).clamp(min=1)).to(x.dtype)
        one, other = (x.gather(2, index.expand_as(x)) for index in (start, end))
        clips.x = torch.where(fill, torch.lerp(one, other, weight), x)
        clips.present = present | fill


class Fractions(Step):
    """:class:`~pyg_stgcn.transforms.ToFractions` of a batch."""

    def apply(self, clips: ClipRows) -> None:
        clips.x[:2] = (clips.x[:2] + 1) / 2 * clips.present


class LeaveOutScore(Step):
    """:class:`~pyg_stgcn.transforms.DropScore` of a batch."""

    def draw(self, clip: ClipShape) -> Draws:
        clip.channels = 2
        return ()

    def apply(self, clips: ClipRows) -> None:
        clips.x = clips.x[:2]


class MakeStream(Step):
    """:class:`ToStream` of a batch."""

    transform: ToStream

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        moves = any(stream.endswith("motion") for stream in self.transform.streams)
        return (after.is_last[:-1] if moves else None,)

    def apply(self, clips: ClipRows, is_last: Tensor | None) -> None:
        scored = clips.has_score
        parent = constant(tuple(self.transform.parent.tolist()), clips.x.device)
        streams = []
        for stream in self.transform.streams:
            x, shown = clips.x, clips.present
            if stream.startswith("bone"):
                shown = shown & shown.index_select(0, parent)
                x = _difference(x, x.index_select(1, parent), shown, scored)
            if stream.endswith("motion"):
                assert is_last is not None
                x = _motion(x, shown, is_last, scored)
            streams.append(x)
        clips.x = streams[0] if len(streams) == 1 else torch.cat(streams)


class Sample(Step):
    """:class:`UniformSample` of a batch."""

    transform: UniformSample

    def draw(self, clip: ClipShape) -> Draws:
        frames = self.transform.draw(clip.frames, clip.name)
        clip.frames = len(frames)
        return (frames,)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return (before.taken(draws[0], after),)

    def apply(self, clips: ClipRows, index: Tensor) -> None:
        clips.x = pick(clips.x, index)


class FillPersons(Step):
    """:class:`PadPersons` of a batch."""

    transform: PadPersons

    def draw(self, clip: ClipShape) -> Draws:
        persons = torch.arange(self.transform.num_persons)
        persons[clip.persons :] = -1
        clip.persons = self.transform.num_persons
        return (persons,)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        person = before.first[after.owner] + draws[0].clamp(min=0)
        index = before.start[person][after.person] + after.frame
        return index, (draws[0] < 0)[after.person]

    def apply(self, clips: ClipRows, index: Tensor, added: Tensor) -> None:
        clips.x = pick(clips.x, index).masked_fill_(added, 0)


def _motion(x: Tensor, shown: Tensor, is_last: Tensor, scored: bool) -> Tensor:
    both = shown[:, 1:] & shown[:, :-1]
    moves = _difference(x[..., 1:], x[..., :-1], both, scored)
    moves = moves.masked_fill_(is_last, 0)
    return torch.cat([moves, torch.zeros_like(x[..., :1])], dim=-1)


def _difference(end: Tensor, start: Tensor, shown: Tensor, scored: bool) -> Tensor:
    """End less start, zero where not both are shown; of the scores their mean."""
    difference = (end - start).masked_fill_(~shown, 0)
    if scored:
        difference[-1] = (end[-1] + start[-1]) / 2
    return difference
