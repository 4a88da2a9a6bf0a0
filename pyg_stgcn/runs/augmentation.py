"""Augmentations by name, for the option ``augment`` of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import check_augmentation
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms import (
    GaussianNoise,
    JointDropout,
    RandomMirror,
    RandomSpeed,
    TemporalCorruption,
    TemporalCrop,
)

#: In the order of application. Frames and joints are dropped last, so that no frame is interpolated
#: from dropped ones.
_MAKERS: dict[str, Callable[[float, Skeleton], BaseTransform]] = {
    "mirror": lambda p, skeleton: RandomMirror(skeleton, p),
    "crop": lambda fraction, _: TemporalCrop(fraction),
    "speed": lambda change, _: RandomSpeed(change),
    "noise": lambda std, _: GaussianNoise(std),
    "joint-dropout": lambda ratio, _: JointDropout(ratio, seed=None),
    "frame-loss": lambda ratio, _: TemporalCorruption(ratio, seed=None),
}


def make_augmentations(values: Mapping[str, float], skeleton: Skeleton) -> list[BaseTransform]:
    """The transforms, in the order of :data:`pyg_stgcn.names.AUGMENTATIONS`.

    Args:
        values: The number of each, by name.
        skeleton: The skeleton of the clips.

    Raises:
        InputError: There is no such augmentation, its value is out of range, or it does not fit
            the skeleton.
    """
    for name in values:
        check_augmentation(name)
    steps = []
    for name, make in _MAKERS.items():
        if name not in values:
            continue
        try:
            steps.append(make(values[name], skeleton))
        except InputError as error:
            raise InputError(f"'{name}={values[name]:g}': {error}") from None
    return steps
