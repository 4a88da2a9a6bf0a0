"""Augmentations and losses of a batch of clips."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.transforms.augment import (
    GaussianNoise,
    RandomMirror,
    RandomRotation,
    RandomScaling,
)
from pyg_stgcn.transforms.batched.batch_rows import ClipRows, Rows, constant, map_rows, pick
from pyg_stgcn.transforms.batched.batch_step import (
    ClipShape,
    Draws,
    Prepared,
    Step,
    StoredRows,
)
from pyg_stgcn.transforms.corrupt import JointDropout, TemporalCorruption
from pyg_stgcn.transforms.tempo import RandomSpeed, TemporalCrop


class Rotate(Step):
    """:class:`RandomRotation` of a batch."""

    transform: RandomRotation

    def draw(self, clip: ClipShape) -> Draws:
        return (self.transform.draw(clip.axes).unsqueeze(0),)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return rotations_of(draws[0]).float(), after.clip

    def apply(self, clips: ClipRows, matrices: Tensor, clip: Tensor) -> None:
        turned = map_rows(clips.x[: clips.axes], matrices, clip)
        clips.x = torch.cat([turned, clips.x[2:]]) if clips.has_score else turned


def rotations_of(angles: Tensor) -> Tensor:
    r"""The matrices of random angles, as
    :func:`~pyg_stgcn.transforms.augment.rotation_of`.

    Shapes:
        - **angles:** :math:`(N, 3)`, or :math:`(N, 1)` in the plane
        - **output:** :math:`(D, D, N)`, double precision
    """
    cosines, sines = angles.double().t().cos(), angles.double().t().sin()
    if len(cosines) == 1:
        (c,), (s,) = cosines, sines
        return torch.stack([c, -s, s, c]).unflatten(0, (2, 2))
    (cx, cy, cz), (sx, sy, sz) = cosines, sines
    entries = (
        (cz * cy, sz * cx + cz * sy * sx, sz * sx - cz * sy * cx)
        + (-sz * cy, cz * cx - sz * sy * sx, cz * sx + sz * sy * cx)
        + (sy, -cy * sx, cy * cx)
    )
    return torch.stack(entries).unflatten(0, (3, 3))


class Stretch(Step):
    """:class:`RandomScaling` of a batch."""

    transform: RandomScaling

    def draw(self, clip: ClipShape) -> Draws:
        return (1 + self.transform.draw(clip.axes, clip.name).unsqueeze(0),)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return draws[0].t().contiguous(), after.clip

    def apply(self, clips: ClipRows, factors: Tensor, clip: Tensor) -> None:
        clips.x[: clips.axes] *= pick(factors, clip).unsqueeze(1)


class Mirror(Step):
    """:class:`RandomMirror` of a batch."""

    transform: RandomMirror

    def draw(self, clip: ClipShape) -> Draws:
        return (torch.tensor([self.transform.draw()]),)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return (draws[0][after.clip],)

    def apply(self, clips: ClipRows, chosen: Tensor) -> None:
        joints = constant(tuple(self.transform.mirrored.tolist()), clips.x.device)
        mirrored = clips.x.index_select(1, joints)
        mirrored[0].neg_()
        clips.x = torch.where(chosen, mirrored, clips.x)
        present = clips.present.index_select(0, joints)
        clips.present = torch.where(chosen, present, clips.present)


class AddNoise(Step):
    """:class:`GaussianNoise` of a batch."""

    transform: GaussianNoise

    def draw(self, clip: ClipShape) -> Draws:
        shape = clip.persons, clip.joints, clip.frames, clip.axes
        noise = self.transform.draw(clip.persons * clip.joints, clip.frames, clip.axes)
        return (noise.view(shape).transpose(1, 2).flatten(0, 1),)

    def apply(self, clips: ClipRows, noise: Tensor) -> None:
        clips.x[: clips.axes] += noise.permute(2, 1, 0) * clips.present


class Crop(Step):
    """:class:`TemporalCrop` of a batch."""

    transform: TemporalCrop

    def draw(self, clip: ClipShape) -> Draws:
        frames = self.transform.draw(clip.frames)
        clip.frames = len(frames)
        return (frames,)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return (before.taken(draws[0], after),)

    def apply(self, clips: ClipRows, index: Tensor) -> None:
        clips.take(index)


class ChangeSpeed(Step):
    """:class:`RandomSpeed` of a batch."""

    transform: RandomSpeed

    def draw(self, clip: ClipShape) -> Draws:
        new = self.transform.draw(clip.frames)
        clip.frames = len(new.nearer)
        return (*new[:3], new.weight.float())

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        *frames, weight = draws
        return (*(before.taken(numbers, after) for numbers in frames), weight[after.moment])

    def apply(
        self, clips: ClipRows, earlier: Tensor, later: Tensor, nearer: Tensor, weight: Tensor
    ) -> None:
        x, present = clips.x, clips.present
        line = torch.lerp(pick(x, earlier), pick(x, later), weight)
        both = pick(present, earlier) & pick(present, later)
        clips.take(nearer)
        clips.x = torch.where(both, line, clips.x)


class DropJoints(Step):
    """:class:`JointDropout` of a batch."""

    transform: JointDropout

    def draw(self, clip: ClipShape) -> Draws:
        return (self.transform.draw(clip.persons, clip.joints, clip.frames, clip.name),)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return draws[0].t().contiguous(), after.person

    def apply(self, clips: ClipRows, dropped: Tensor, person: Tensor) -> None:
        clips.drop(pick(dropped, person))


class DropFrames(Step):
    """:class:`TemporalCorruption` of a batch."""

    transform: TemporalCorruption

    def draw(self, clip: ClipShape) -> Draws:
        dropped = torch.zeros(clip.frames, dtype=torch.bool)
        dropped[self.transform.draw(clip.frames, clip.name)] = True
        return (dropped,)

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return (draws[0][after.moment],)

    def apply(self, clips: ClipRows, dropped: Tensor) -> None:
        clips.drop(dropped)
