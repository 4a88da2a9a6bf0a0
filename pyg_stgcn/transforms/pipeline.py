"""The standard order of transforms."""

from __future__ import annotations

from collections.abc import Sequence

from torch_geometric.transforms import BaseTransform, Compose

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.augment import RandomRotation, RandomScaling
from pyg_stgcn.transforms.normalize import PreNormalize2D, PreNormalize3D
from pyg_stgcn.transforms.persons import PadPersons
from pyg_stgcn.transforms.plane import DropScore, ToFractions
from pyg_stgcn.transforms.sample import UniformSample
from pyg_stgcn.transforms.stream import ToStream


def standard_transform(
    skeleton: Skeleton,
    *,
    stream: str,
    clip_frames: int,
    train: bool,
    num_views: int = 1,
    has_score: bool,
    rotation: float = 0.3,
    scaling: float = 0.0,
    align_spine: bool | None = None,
    scale: bool = False,
    use_score: bool = True,
    fractions: bool = False,
    num_persons: int | None = None,
    extra: Sequence[BaseTransform] = (),
) -> Compose:
    """The pipeline from a stored clip to the input of a model: normalise, augment, make the
    stream, sample frames.

    Losses of frames belong into :obj:`extra`: normalisation would remove the empty frames, and
    bones and motion are made of the other joints.

    Args:
        skeleton: The skeleton of the clips.
        stream: One or several streams, see :class:`ToStream`.
        clip_frames: The number of frames to sample.
        train: Whether to augment, and to sample at random.
        num_views: How often to sample.
        has_score: Whether the clips are 2-D with scores (:class:`PreNormalize2D`) or not
            (:class:`PreNormalize3D`).
        rotation: The largest angle of :class:`RandomRotation`; none if zero.
        scaling: The largest change of :class:`RandomScaling`; none if zero.
        align_spine: Whether to turn 3-D clips upright, see :class:`PreNormalize3D`.
        scale: Whether to scale 3-D clips to a mean bone length of one.
        use_score: Whether the scores of 2-D clips are a channel of the input.
        fractions: Whether the positions of 2-D clips are fractions of the image, from 0 to 1, and
            not from -1 to 1.
        num_persons: The number of persons to fill up to, see :class:`PadPersons`; by default
            clips keep theirs.
        extra: Further steps right after the normalisation, such as augmentations for training, or
            losses and repair for evaluation; used whether or not :obj:`train` is set.

    Raises:
        InputError: If an option is wrong.
    """
    if not has_score and (fractions or not use_score):
        option = "fractions" if fractions else "use_score"
        raise InputError(f"{option}: is for 2-D clips, these are 3-D; leave it out")
    steps: list[BaseTransform] = [
        PreNormalize2D()
        if has_score
        else PreNormalize3D(skeleton, align_spine=align_spine, scale=scale)
    ]
    steps += extra
    if train and scaling:
        steps.append(RandomScaling(scaling))
    if train and rotation:
        steps.append(RandomRotation(rotation))
    if fractions:
        steps.append(ToFractions())
    if not use_score:
        steps.append(DropScore())
    steps.append(ToStream(stream, skeleton))
    steps.append(UniformSample(clip_frames, num_views=num_views, train=train))
    if num_persons is not None:
        steps.append(PadPersons(num_persons))
    return Compose(steps)
