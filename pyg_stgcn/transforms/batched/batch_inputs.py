"""The input of a model, made of a batch of clips: repair, streams, frames and persons."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.transforms.batched.batch_rows import ClipRows, Rows, constant
from pyg_stgcn.transforms.batched.batch_step import ClipShape, Draws, Step
from pyg_stgcn.transforms.persons import PadPersons
from pyg_stgcn.transforms.sample import UniformSample
from pyg_stgcn.transforms.stream import ToStream


class FillIn(Step):
    """:class:`~pyg_stgcn.transforms.Interpolate` of a batch."""

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        x, present = clips.x, clips.present
        numbers = torch.arange(rows.count, device=x.device)
        first = rows.start[rows.person]
        last = first + rows.frames[rows.clip] - 1
        before = torch.where(present, numbers, -1).cummax(1).values
        after = torch.where(present, numbers, rows.count).flip(1).cummin(1).values.flip(1)
        has_before, has_after = before >= first, after <= last
        start = torch.where(has_before, before, after)
        end = torch.where(has_after, after, before)
        fill = ~present & (has_before | has_after)
        # Those of other persons are not used.
        start, end = (index.clamp(0, rows.count - 1) for index in (start, end))
        weight = ((numbers - start) / (end - start).clamp(min=1)).to(x.dtype)
        one, other = (x.gather(2, index.expand_as(x)) for index in (start, end))
        clips.x = torch.where(fill, torch.lerp(one, other, weight), x)
        clips.present = present | fill


class Fractions(Step):
    """:class:`~pyg_stgcn.transforms.ToFractions` of a batch."""

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        clips.x[:2] = (clips.x[:2] + 1) / 2 * clips.present


class LeaveOutScore(Step):
    """:class:`~pyg_stgcn.transforms.DropScore` of a batch."""

    def draw(self, clip: ClipShape) -> Draws:
        clip.channels = 2
        return ()

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        clips.x = clips.x[:2]


class MakeStream(Step):
    """:class:`ToStream` of a batch."""

    transform: ToStream

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        scored = clips.has_score
        parent = constant(tuple(self.transform.parent.tolist()), clips.x.device)
        streams = []
        for stream in self.transform.streams:
            x, shown = clips.x, clips.present
            if stream.startswith("bone"):
                shown = shown & shown.index_select(0, parent)
                x = _difference(x, x.index_select(1, parent), shown, scored)
            streams.append(_motion(x, shown, rows, scored) if stream.endswith("motion") else x)
        clips.x = torch.cat(streams)


class Sample(Step):
    """:class:`UniformSample` of a batch."""

    transform: UniformSample

    def draw(self, clip: ClipShape) -> Draws:
        frames = self.transform.draw(clip.frames, clip.name)
        clip.frames = len(frames)
        return (frames,)

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        clips.take(clips.rows_of(draws[0], rows), rows)


class FillPersons(Step):
    """:class:`PadPersons` of a batch."""

    transform: PadPersons

    def draw(self, clip: ClipShape) -> Draws:
        persons = torch.arange(self.transform.num_persons)
        persons[clip.persons :] = -1
        clip.persons = self.transform.num_persons
        return (persons,)

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        old, number = clips.rows, draws[0]
        person = old.first[rows.owner] + number.clamp(min=0)
        clips.take(old.start[person][rows.person] + rows.frame, rows)
        exists = (number >= 0)[rows.person]
        clips.x = clips.x * exists
        clips.present = clips.present & exists


def _motion(x: Tensor, shown: Tensor, rows: Rows, scored: bool) -> Tensor:
    both = shown[:, 1:] & shown[:, :-1]
    moves = _difference(x[..., 1:], x[..., :-1], both, scored)
    moves = moves.masked_fill_(rows.is_last[:-1], 0)
    return torch.cat([moves, torch.zeros_like(x[..., :1])], dim=-1)


def _difference(end: Tensor, start: Tensor, shown: Tensor, scored: bool) -> Tensor:
    """End less start, zero where not both are shown; of the scores their mean."""
    difference = (end - start).masked_fill_(~shown, 0)
    if scored:
        difference[-1] = (end[-1] + start[-1]) / 2
    return difference
