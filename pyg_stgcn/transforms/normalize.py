"""Normalisation of the position, orientation and size of a clip."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.clip_tensor import clip_name, present_joints, rotate, split_persons

Vector = list[float]


@functional_transform("pre_normalize_3d")
class PreNormalize3D(BaseTransform):
    r"""Moves 3-D clips to the origin and turns them upright (functional name:
    :obj:`pre_normalize_3d`).

    1. The main person changes places with the first: the one present in the most frames; of
       several, the one who moves most (the variance of its coordinates); of several, the one
       listed first. Frames without the main person are removed.
    2. The skeleton's root joint in the first frame goes to the origin. Missing joints go there,
       and are told apart from it by ``present``.
    3. Everything is rotated so that the spine of person 0 in the first frame points along z, and
       then so that the line from its left to its right shoulder points along x.
    4. With :obj:`scale`, coordinates are divided by the mean bone length of person 0, taken over
       all bones and frames in which both ends are present: sensors differ in their units.

    "The first frame" of a step is the first in which all joints that it needs are present. A clip
    in which nobody appears is left as it is. Computed in double precision. Where a clip has no
    ``present``, its coordinates tell which joints are missing, see
    :mod:`pyg_stgcn.transforms.presence`.

    Args:
        skeleton: The skeleton of the clips.
        align_spine: Whether to rotate. By default if the skeleton has a spine and shoulders.
        align_center: Whether to move the root joint.
        scale: Whether to divide by the mean bone length.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, 3)`
        - **output x:** :math:`(M \cdot V, T', 3)`, :math:`T' \leq T`

    Raises:
        InputError: If :obj:`align_spine` is asked of a skeleton without spine or shoulders.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        align_spine: bool | None = None,
        align_center: bool = True,
        scale: bool = False,
    ) -> None:
        has_axes = skeleton.spine is not None and skeleton.shoulders is not None
        if align_spine and not has_axes:
            raise InputError(
                f"skeleton {skeleton.name!r}: align_spine=True needs its fields 'spine' and "
                f"'shoulders'; add them or use align_spine=False"
            )
        self.skeleton = skeleton
        self.align_spine = has_axes if align_spine is None else align_spine
        self.align_center = align_center
        self.scale = scale

    def forward(self, data: Data) -> Data:
        persons = split_persons(data)
        self.check(clip_name(data), persons.shape[1], persons.shape[3])
        present = present_joints(data, self.skeleton).view(persons.shape[:3])
        if not bool(present.any()):
            return data
        persons, present = _keep_main_person(persons.double(), present)
        if not bool(present.all()):
            persons = persons.masked_fill(~present.unsqueeze(-1), 0)
        if self.align_center:
            persons = self._center(persons, present)
        if self.align_spine:
            persons = self._align(persons, present[0])
        if self.scale:
            persons = persons / self._mean_bone_length(persons[0], present[0])
        data.x = persons.flatten(0, 1).to(data.x.dtype)
        data.present = present.flatten(0, 1)
        return data

    def check(self, name: str, joints: int, channels: int) -> None:
        """Refuse a clip that is not of this skeleton, in space."""
        if joints != self.skeleton.num_joints or channels != 3:
            raise InputError(
                f"{name}: {joints} joints with {channels} coordinates are not those of skeleton "
                f"{self.skeleton.name!r} in 3-D ({self.skeleton.num_joints} joints, 3 coordinates)"
            )

    def _center(self, persons: Tensor, present: Tensor) -> Tensor:
        root = self.skeleton.root_joint
        frame = _first_frame(present[0], (root,)) or 0
        return (persons - persons[0, root, frame]) * present.unsqueeze(-1)

    def _align(self, persons: Tensor, present: Tensor) -> Tensor:
        low, high = self.skeleton.spine or (0, 0)
        right, left = self.skeleton.shoulders or (0, 0)
        rotation = torch.eye(3, dtype=persons.dtype)
        for start, end, axis in ((low, high, [0.0, 0.0, 1.0]), (left, right, [1.0, 0.0, 0.0])):
            frame = _first_frame(present, (start, end))
            if frame is not None:
                direction = rotation @ (persons[0, end, frame] - persons[0, start, frame])
                rotation = rotation_between(direction.tolist(), axis).to(persons) @ rotation
        return rotate(persons, rotation)

    def _mean_bone_length(self, person: Tensor, present: Tensor) -> float:
        child, parent = torch.tensor(self.skeleton.bones, dtype=torch.long).view(-1, 2).t()
        both = present.index_select(0, child) & present.index_select(0, parent)
        bones = person.index_select(0, child) - person.index_select(0, parent)
        total = float((bones.norm(dim=-1) * both).sum())
        return total / int(both.sum()) if total > 0 else 1.0

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}({self.skeleton.name}, align_spine={self.align_spine}, "
            f"align_center={self.align_center}, scale={self.scale})"
        )


@functional_transform("pre_normalize_2d")
class PreNormalize2D(BaseTransform):
    r"""Scales 2-D clips to about :math:`[-1, 1]` and clears uncertain joints (functional name:
    :obj:`pre_normalize_2d`).

    Missing joints and those with a score of at most :obj:`threshold` go to the origin and keep
    their score; all of them are missing from then on. A joint at exactly :math:`(0, 0)` is missing
    whatever its score, see :mod:`pyg_stgcn.transforms.presence`.

    Args:
        threshold: The highest score of a joint that does not count.
        mode: ``"fix"`` scales by the size of the image, so that its corners go to
            :math:`(\pm 1, \pm 1)`. ``"auto"`` scales each axis by the box around all joints of
            the clip that count, and leaves a clip alone whose box is at most 10 pixels high or
            wide.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, 3)` of x, y and score in pixels; ``image_size``
          :math:`(1, 2)`, height and width
        - **output x:** :math:`(M \cdot V, T, 3)`

    Raises:
        InputError: If the mode is unknown, or a clip has no scores or no image size.
    """

    def __init__(self, threshold: float = 0.01, mode: Literal["fix", "auto"] = "fix") -> None:
        if mode not in ("fix", "auto"):
            raise InputError(f"mode {mode!r}: there is no such mode; choose 'fix' or 'auto'")
        self.threshold = threshold
        self.mode = mode

    def forward(self, data: Data) -> Data:
        self.check(clip_name(data), data.x.size(-1), "image_size" in data)
        position, score = data.x[..., :2], data.x[..., 2:]
        counts = present_joints(data) & (score.squeeze(-1) > self.threshold)
        if self.mode == "fix":
            half = data.image_size.view(2).flip(0).to(position) / 2
            position = (position - half) / half
        else:
            position = _scale_to_box(position, counts)
        data.x = torch.cat([position * counts.unsqueeze(-1), score], dim=-1)
        data.present = counts
        return data

    def check(self, name: str, channels: int, has_size: bool) -> None:
        """Refuse a clip that is not 2-D with scores."""
        if not has_size or channels != 3:
            raise InputError(
                f"{name}: not a 2-D clip with scores (channels x, y, score and an "
                f"image_size); use PreNormalize3D for 3-D clips"
            )

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(threshold={self.threshold}, mode={self.mode!r})"


def rotation_between(vector: Vector, axis: Vector) -> Tensor:
    r"""The rotation :math:`R` that turns a vector into the direction of an axis,
    by Rodrigues' formula :math:`R = I + \sin\theta\,[a]_\times + (1 - \cos\theta)\,[a]_\times^2`.

    Vectors that are parallel or opposite, or too short to have a direction, are not turned.
    """
    x, y, z = (
        vector[1] * axis[2] - vector[2] * axis[1],
        vector[2] * axis[0] - vector[0] * axis[2],
        vector[0] * axis[1] - vector[1] * axis[0],
    )
    identity = torch.eye(3, dtype=torch.double)
    tiny = 1e-6
    if min(_l1([x, y, z]), _l1(vector)) < tiny:
        return identity
    dot = sum(v * a for v, a in zip(vector, axis, strict=True))
    cosine = dot / (math.hypot(*vector) * math.hypot(*axis))
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if angle < tiny:
        return identity
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.double)
    cross = cross / math.hypot(x, y, z)
    return identity + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _l1(vector: Vector) -> float:
    return sum(abs(value) for value in vector)


def _keep_main_person(persons: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Puts the main person first and removes the frames in which it is absent."""
    main = main_person(persons, present)
    if main:
        order = list(range(len(persons)))
        order[0], order[main] = main, 0
        persons, present = persons[order], present[order]
    seen = present[0].any(dim=0)
    if bool(seen.all()):
        return persons, present
    frames = seen.nonzero().flatten()
    return persons.index_select(2, frames), present.index_select(2, frames)


def main_person(persons: Tensor, present: Tensor) -> int:
    """The person seen in the most frames; of several the one who moves most.

    Args:
        persons: ``[M, V, T, C]``.
        present: ``[M, V, T]``.
    """
    counts = present.any(dim=1).sum(dim=1)
    tied: list[int] = (counts == counts.max()).nonzero().flatten().tolist()
    if len(tied) == 1:
        return tied[0]
    motion = [float(persons[m][present[m]].var(dim=0, correction=0).sum()) for m in tied]
    return tied[motion.index(max(motion))]


def _first_frame(present: Tensor, joints: tuple[int, ...]) -> int | None:
    """The first frame in which all the joints are present, if there is one."""
    frames = torch.stack([present[joint] for joint in joints]).all(dim=0).nonzero()
    return int(frames[0]) if len(frames) else None


def _scale_to_box(position: Tensor, counts: Tensor) -> Tensor:
    points = position[counts]
    if not len(points):
        return position
    low, high = points.amin(dim=0), points.amax(dim=0)
    if not bool(((high - low) > 10).all()):
        return position
    return (2 * position - (low + high)) / (high - low)
