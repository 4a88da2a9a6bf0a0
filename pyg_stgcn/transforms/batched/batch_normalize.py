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
    pick,
    smallest_by,
)
from pyg_stgcn.transforms.batched.batch_step import (
    ClipShape,
    Draws,
    Prepared,
    Step,
    StoredRows,
)
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

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        return draws[0].t().contiguous(), after.clip

    def apply(self, clips: ClipRows, half: Tensor, clip: Tensor) -> None:
        half = pick(half, clip).unsqueeze(1)
        clips.present = clips.present & (clips.x[2] > self.transform.threshold)
        clips.x[:2] = (clips.x[:2] - half) / half * clips.present


class Normalize3D(Step):
    """:class:`PreNormalize3D` of a batch; it has to be the first step.

    Persons, frames, origins and rotations depend on few joints, and are prepared. A clip in which
    nobody appears is left as it is.
    """

    transform: PreNormalize3D

    def draw(self, clip: ClipShape) -> Draws:
        self.transform.check(clip.name, clip.joints, clip.channels)
        seen = int(clip.present.any(axis=2).sum(axis=1).max())
        # The frames of the main person, whoever it is.
        clip.frames = seen or clip.frames
        return ()

    def prepare(self, draws: Draws, before: Rows, after: Rows, stored: StoredRows) -> Prepared:
        index, found = _main_persons_first(stored, before, after)
        if index is not None:
            stored = StoredRows(stored.keypoint[index], stored.present[index])
        empty = None if bool(found.all()) else ~found[after.clip]
        is_main = after.person == after.first[after.clip]
        root = self.transform.skeleton.root_joint
        row, has_root = _first_rows(stored.present[:, root] & is_main, after)
        origin = stored.keypoint[row, root].float() * has_root.unsqueeze(1)
        rotations = torch.eye(3, dtype=torch.double).expand(after.num_clips, 3, 3)
        if self.transform.align_spine:
            rotations = self._upright(stored, is_main, after)
        matrices = rotations.float().permute(1, 2, 0).contiguous()
        return index, empty, origin.t().contiguous(), matrices, after.clip, is_main

    def apply(
        self,
        clips: ClipRows,
        index: Tensor | None,
        empty: Tensor | None,
        origin: Tensor,
        matrices: Tensor,
        clip: Tensor,
        is_main: Tensor,
    ) -> None:
        if index is not None:
            clips.take(index)
        visible = clips.present if empty is None else clips.present | empty
        x = clips.x
        if self.transform.align_center:
            x = x - pick(origin, clip).unsqueeze(1)
        x = x.masked_fill(~visible, 0)
        if self.transform.scale:
            present = clips.present & is_main
            matrices = matrices / _mean_bone_lengths(
                x, present, clip, matrices.size(2), self.transform.skeleton
            )
        if self.transform.align_spine or self.transform.scale:
            x = map_rows(x, matrices, clip)
        clips.x = x

    def _upright(self, stored: StoredRows, is_main: Tensor, rows: Rows) -> Tensor:
        """The rotation that turns every clip upright, :math:`(N, 3, 3)`."""
        low, high = self.transform.skeleton.spine or (0, 0)
        right, left = self.transform.skeleton.shoulders or (0, 0)
        identity = torch.eye(3, dtype=torch.double)
        rotations = identity.expand(rows.num_clips, 3, 3)
        for start, end, axis in ((low, high, identity[2]), (left, right, identity[0])):
            both = stored.present[:, start] & stored.present[:, end] & is_main
            row, found = _first_rows(both, rows)
            points = stored.keypoint[row].double()
            turned = (rotations @ (points[:, end] - points[:, start]).unsqueeze(2)).squeeze(2)
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
    identity = torch.eye(3, dtype=vectors.dtype)
    rotation = identity + sine * turn + (1 - cosine) * (turn @ turn)
    # Written so that no number, of a vector of length zero, counts as too short.
    turns = (shortest >= tiny) & (angle >= tiny)
    return torch.where(turns[:, None, None], rotation, identity)


def _main_persons_first(
    stored: StoredRows, before: Rows, after: Rows
) -> tuple[Tensor | None, Tensor]:
    """Put the main person of every clip first, and leave out the frames in which it is absent.

    Returns:
        The stored row of every new row, :obj:`None` if all stay where they are; and a mask of the
        clips in which somebody appears.
    """
    seen = stored.present.any(1)
    counts = before.sum_by_person(seen.long())
    most = largest_by(counts, before.owner, before.num_clips)
    found = most > 0
    main = before.first
    if before.num_persons > before.num_clips:
        chosen = _main_persons(stored, before, counts == most[before.owner])
        main = torch.where(found, chosen, main)
    if before.count == after.count and torch.equal(main, before.first):
        return None, found
    # The main person and the first change places.
    source = torch.arange(before.num_persons)
    source[main] = before.first
    source[before.first] = main
    kept = seen[before.start[main[before.clip]] + before.frame] | ~found[before.clip]
    index = after.start[source[after.person]] + after.frame
    return kept.nonzero().flatten()[index], found


def _main_persons(stored: StoredRows, rows: Rows, tied: Tensor) -> Tensor:
    """Of the tied persons of every clip the one who moves most; of several the first."""
    motion = torch.full((rows.num_persons,), -1.0, dtype=torch.double)
    # The motion of others does not count, and takes long to compute.
    several = torch.zeros(rows.num_clips, dtype=torch.long).index_add_(0, rows.owner, tied.long())
    needed = tied & (several > 1)[rows.owner]
    if bool(needed.any()):
        chosen = needed[rows.person]
        person, present = rows.person[chosen], stored.present[chosen].unsqueeze(2)
        x = stored.keypoint[chosen].double()
        points = rows.sum_by_person(stored.present.sum(1)).double().unsqueeze(1)
        total = torch.zeros(rows.num_persons, 3, dtype=torch.double)
        mean = total.index_add(0, person, (x * present).sum(1)) / points
        squares = ((x - mean[person].unsqueeze(1)) * present).square().sum(1)
        spread = (total.index_add(0, person, squares) / points).sum(1)
        motion = torch.where(needed, spread, motion)
    most = largest_by(motion, rows.owner, rows.num_clips)
    best = tied & (motion == most[rows.owner])
    persons = torch.where(best, torch.arange(rows.num_persons), rows.num_persons)
    return smallest_by(persons, rows.owner, rows.num_clips)


def _first_rows(mask: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """The first row of every clip in a mask of the rows of main persons, and whether there is one;
    otherwise the first row of the clip.
    """
    frames = torch.where(mask, rows.frame, rows.count)
    frame = smallest_by(frames, rows.clip, rows.num_clips)
    found = frame < rows.count
    return rows.start[rows.first] + frame * found, found


def _mean_bone_lengths(
    x: Tensor, present: Tensor, clip: Tensor, num_clips: int, skeleton: Skeleton
) -> Tensor:
    """The mean bone length of every clip, one where there is none, :math:`(N)`."""
    children, parents = zip(*skeleton.bones, strict=True) if skeleton.bones else ((), ())
    child, parent = constant(tuple(children), x.device), constant(tuple(parents), x.device)
    both = present.index_select(0, child) & present.index_select(0, parent)
    bones = x.index_select(1, child) - x.index_select(1, parent)
    lengths = (bones.square_().sum(0).sqrt_() * both).sum(0)
    # Single precision loses digits over thousands of frames; Apple's GPUs have no other.
    sums = torch.stack([lengths, both.sum(0)])
    sums = sums if x.device.type == "mps" else sums.double()
    total, count = sums.new_zeros(2, num_clips).index_add_(1, clip, sums)
    return torch.where(total > 0, total / count, 1).to(x.dtype)
