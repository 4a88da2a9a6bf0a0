"""Normalisation of a batch of clips."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.batched.batch_rows import (
    ClipRows,
    Rows,
    constant,
    largest_by,
    map_rows,
    smallest_by,
)
from pyg_stgcn.transforms.batched.batch_step import ClipShape, Draws, Step
from pyg_stgcn.transforms.normalize import PreNormalize2D, PreNormalize3D


class Normalize2D(Step):
    """:class:`PreNormalize2D` of a batch."""

    transform: PreNormalize2D

    def __init__(self, transform: PreNormalize2D) -> None:
        if transform.mode != "fix":
            raise InputError(f"{transform}: mode 'auto' works on single clips only; use 'fix'")
        super().__init__(transform)

    def draw(self, clip: ClipShape) -> Draws:
        size = clip.image_size
        self.transform.check(clip.name, clip.channels, size is not None)
        assert size is not None
        return (torch.tensor([[size[1] / 2, size[0] / 2]]),)

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        score = clips.x[2]
        half = draws[0].t()[:, None, rows.clip]
        clips.present = clips.present & (score > self.transform.threshold)
        clips.x[:2] = (clips.x[:2] - half) / half * clips.present


class Normalize3D(Step):
    """:class:`PreNormalize3D` of a batch.

    A clip in which nobody appears is left as it is.
    """

    transform: PreNormalize3D

    def draw(self, clip: ClipShape) -> Draws:
        self.transform.check(clip.name, clip.joints, clip.channels)
        seen = int(clip.present.any(axis=2).sum(axis=1).max())
        # The frames of the main person, whoever it is.
        clip.frames = seen or clip.frames
        return ()

    def apply(self, clips: ClipRows, draws: Draws, rows: Rows) -> None:
        found = _keep_main_persons(clips, rows)
        empty = ~found[rows.clip]
        visible = clips.present | empty
        is_main = rows.person == rows.first[rows.clip]
        x = clips.x.masked_fill(~visible, 0)
        if self.transform.align_center:
            root = self.transform.skeleton.root_joint
            row, _ = _first_rows(clips.present[root] & is_main, rows)
            origin = x[:, root, row] * found
            x = (x - origin[:, None, rows.clip]) * visible
        matrices = torch.eye(3, dtype=torch.double, device=x.device).expand(rows.num_clips, 3, 3)
        if self.transform.align_spine:
            matrices = self._upright(x, clips.present & is_main, rows)
        if self.transform.scale:
            lengths = _mean_bone_lengths(x, clips.present & is_main, rows, self.transform.skeleton)
            matrices = matrices / lengths[:, None, None]
        if self.transform.align_spine or self.transform.scale:
            x = map_rows(x, matrices.to(x.dtype).permute(1, 2, 0)[..., rows.clip])
        clips.x = x

    def _upright(self, x: Tensor, present: Tensor, rows: Rows) -> Tensor:
        """The rotation that turns every clip upright, :math:`(N, 3, 3)`."""
        low, high = self.transform.skeleton.spine or (0, 0)
        right, left = self.transform.skeleton.shoulders or (0, 0)
        identity = torch.eye(3, dtype=torch.double, device=x.device)
        rotations = identity.expand(rows.num_clips, 3, 3)
        for start, end, axis in ((low, high, identity[2]), (left, right, identity[0])):
            row, found = _first_rows(present[start] & present[end], rows)
            direction = (x[:, end, row] - x[:, start, row]).t().double()
            turned = (rotations @ direction.unsqueeze(2)).squeeze(2)
            step = torch.where(found[:, None, None], rotations_between(turned, axis), identity)
            rotations = step @ rotations
        return rotations


def rotations_between(vectors: Tensor, axis: Tensor) -> Tensor:
    r"""The rotations that turn vectors into the direction of an axis, as
    :func:`~pyg_stgcn.transforms.normalize.rotation_between`.

    Shapes:
        - **vectors:** :math:`(N, 3)`, double precision
        - **axis:** :math:`(3)`, of length one
        - **output:** :math:`(N, 3, 3)`
    """
    tiny = 1e-6
    cross = torch.linalg.cross(vectors, axis.expand_as(vectors))
    cosine = vectors @ axis / vectors.norm(dim=1)
    angle = cosine.clamp(-1, 1).acos()
    shortest = torch.minimum(cross.abs().sum(1), vectors.abs().sum(1))
    x, y, z = (cross / cross.norm(dim=1, keepdim=True)).unbind(1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(row, 1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    turn = torch.stack(rows, 1)
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    rotation = identity + sine * turn + (1 - cosine) * (turn @ turn)
    # Written so that no number, of a vector of length zero, counts as too short.
    turns = (shortest >= tiny) & (angle >= tiny)
    return torch.where(turns[:, None, None], rotation, identity)


def _keep_main_persons(clips: ClipRows, rows: Rows) -> Tensor:
    """Put the main person of every clip first, and remove the frames in which it is absent.

    Returns:
        Mask of the clips in which somebody appears.
    """
    old = clips.rows
    seen = clips.present.any(0)
    counts = old.sum_by_person(seen.long())
    most = largest_by(counts, old.owner, old.num_clips)
    found = most > 0
    if old.num_persons == old.num_clips and old.count == rows.count:
        return found
    main = torch.where(found, _main_persons(clips, counts == most[old.owner]), old.first)
    # The main person and the first change places.
    source = torch.arange(old.num_persons, device=main.device)
    source = source.scatter(0, main, old.first).scatter(0, old.first, main)
    index = rows.start[source[rows.person]] + rows.frame
    if old.count != rows.count:
        kept = seen[old.start[main[old.clip]] + old.frame] | ~found[old.clip]
        # Their number is known, so that the device need not be asked.
        index = kept.int().argsort(stable=True, descending=True)[: rows.count][index]
    clips.take(index, rows)
    return found


def _main_persons(clips: ClipRows, tied: Tensor) -> Tensor:
    """Of the tied persons of every clip the one who moves most; of several the first."""
    rows = clips.rows
    if rows.num_persons == rows.num_clips:
        return rows.first
    points = rows.sum_by_person(clips.present.sum(0)).double()
    x = clips.x.double()
    mean = rows.sum_by_person((x * clips.present).sum(1)) / points
    squares = ((x - mean[:, None, rows.person]) * clips.present).square().sum((0, 1))
    motion = torch.where(tied, rows.sum_by_person(squares) / points, -1)
    most = largest_by(motion, rows.owner, rows.num_clips)
    persons = torch.arange(rows.num_persons, device=tied.device)
    chosen = torch.where(tied & (motion == most[rows.owner]), persons, rows.num_persons)
    return smallest_by(chosen, rows.owner, rows.num_clips)


def _first_rows(mask: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """The first row of every clip in a mask of the rows of main persons, and whether there is one;
    otherwise the first row of the clip.
    """
    frames = torch.where(mask, rows.frame, rows.count)
    frame = smallest_by(frames, rows.clip, rows.num_clips)
    found = frame < rows.count
    return rows.start[rows.first] + frame * found, found


def _mean_bone_lengths(x: Tensor, present: Tensor, rows: Rows, skeleton: Skeleton) -> Tensor:
    """The mean bone length of every clip, one where there is none, :math:`(N)`."""
    children, parents = zip(*skeleton.bones, strict=True) if skeleton.bones else ((), ())
    child, parent = constant(tuple(children), x.device), constant(tuple(parents), x.device)
    both = present.index_select(0, child) & present.index_select(0, parent)
    bones = x.index_select(1, child) - x.index_select(1, parent)
    lengths = bones.square_().sum(0).sqrt_() * both
    total = rows.sum_by_clip(lengths.sum(0).double())
    count = rows.sum_by_clip(both.sum(0))
    return torch.where(total > 0, total / count, 1)
