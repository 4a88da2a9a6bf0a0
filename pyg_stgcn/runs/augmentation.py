"""Augmentations by name, for the option ``augment`` of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms import (
    GaussianNoise,
    JointDropout,
    RandomMirror,
    RandomSpeed,
    TemporalCorruption,
    TemporalCrop,
)


class Augmentation(NamedTuple):
    """A transform with one number, and the default of that number."""

    default: float
    make: Callable[[float, Skeleton], BaseTransform]


#: In the order of application. Frames and joints are dropped last, so that no frame is interpolated
#: from dropped ones.
AUGMENTATIONS = {
    "mirror": Augmentation(0.5, lambda p, skeleton: RandomMirror(skeleton, p)),
    "crop": Augmentation(0.5, lambda fraction, _: TemporalCrop(fraction)),
    "speed": Augmentation(0.2, lambda change, _: RandomSpeed(change)),
    "noise": Augmentation(0.01, lambda std, _: GaussianNoise(std)),
    "joint-dropout": Augmentation(0.1, lambda ratio, _: JointDropout(ratio, seed=None)),
    "frame-loss": Augmentation(0.25, lambda ratio, _: TemporalCorruption(ratio, seed=None)),
}


def parse_augmentations(words: Iterable[str]) -> dict[str, float]:
    """Read ``NAME`` or ``NAME=VALUE``, as in ``"mirror"`` and ``"noise=0.02"``.

    Example:
        >>> parse_augmentations(["mirror", "noise=0.02"])
        {'mirror': 0.5, 'noise': 0.02}

    Raises:
        InputError: There is no such augmentation, it is named twice, or its value is not a number.
    """
    values: dict[str, float] = {}
    for word in words:
        name, given, text = word.partition("=")
        _check_name(name)
        if name in values:
            raise InputError(f"{word!r}: {name} comes twice; name it once")
        try:
            values[name] = float(text) if given else AUGMENTATIONS[name].default
        except ValueError:
            raise InputError(
                f"{word!r}: {text!r} is not a number; write {name}={AUGMENTATIONS[name].default:g}"
            ) from None
    return values


def make_augmentations(values: Mapping[str, float], skeleton: Skeleton) -> list[BaseTransform]:
    """The transforms, in the order of :data:`AUGMENTATIONS`.

    Args:
        values: The number of each, by name.
        skeleton: The skeleton of the clips.

    Raises:
        InputError: There is no such augmentation, its value is out of range, or it does not fit
            the skeleton.
    """
    for name in values:
        _check_name(name)
    steps = []
    for name, augmentation in AUGMENTATIONS.items():
        if name not in values:
            continue
        try:
            steps.append(augmentation.make(values[name], skeleton))
        except InputError as error:
            raise InputError(f"'{name}={values[name]:g}': {error}") from None
    return steps


def _check_name(name: str) -> None:
    if name not in AUGMENTATIONS:
        names = (f"{known}={some.default:g}" for known, some in AUGMENTATIONS.items())
        raise InputError(
            f"there is no augmentation {name!r}; choose from {', '.join(names)}, "
            "values are optional"
        )
