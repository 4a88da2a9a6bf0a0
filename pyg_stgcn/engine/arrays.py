"""Arrays of callers, checked before C reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyg_stgcn.checked import brief, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import Range, whole

Floats = NDArray[np.float32]

#: Clips of prepared input: far more than anybody gives at once.
_CLIPS = whole(0, 1_000_000)


@dataclass(frozen=True)
class Sizes:
    """The numbers of a model that the shapes of arrays depend on.

    Args:
        num_classes: Number of classes.
        num_joints: Number of joints.
        num_channels: Channels of prepared input.
        num_features: Features before the classifier.
        clip_frames: Frames of the clips of the training.
        is_planar: Whether it reads 2-D joints.
    """

    num_classes: int
    num_joints: int
    num_channels: int
    num_features: int
    clip_frames: int
    is_planar: bool


def as_array(values: Any, name: str) -> NDArray[Any]:
    """What a caller gives as an array, as one.

    Raises:
        InputError: It is none.
    """
    try:
        return np.asarray(values)
    # Objects that make an array of themselves may raise anything, such as tensors with a gradient.
    except Exception as error:
        raise InputError(f"{name}: no array ({brief(error)}); make it one") from None


def as_floats(values: ArrayLike, name: str) -> Floats:
    """Numbers as float32, in C order; copied only where they are not.

    Raises:
        InputError: They are no array of numbers.
    """
    array = as_array(values, name)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name}: type {array.dtype} is not a number; give float32")
    with np.errstate(over="ignore"):  # The library refuses infinite joints, with their place.
        # Not ascontiguousarray, which makes one dimension of none.
        floats = np.asarray(array, np.float32, order="C")
    # Parts of packed records may begin at any byte.
    return floats if floats.flags.aligned else floats.copy()


def as_poses(poses: ArrayLike, name: str, axes: str, sizes: Sizes) -> Floats:
    """Raw joints, their last two axes checked.

    Args:
        poses: The array.
        name: Name of the argument.
        axes: Names of its axes before the joints, such as ``"persons, frames"``.
        sizes: Those of the model.

    Raises:
        InputError: The model cannot read them.
    """
    array, channels = as_floats(poses, name), (2, 3) if sizes.is_planar else (3, 4)
    if array.ndim < 2 or array.shape[-2] != sizes.num_joints or array.shape[-1] not in channels:
        meaning = "x, y" if sizes.is_planar else "x, y, z"
        more = "score" if sizes.is_planar else "confidence"
        raise InputError(
            f"{name}: shape {array.shape} is not [{axes}, {sizes.num_joints} joints, {channels[0]} "
            f"or {channels[1]} channels]; the model reads {meaning} and perhaps a {more} of its "
            "own skeleton"
        )
    return array


def check_image_size(image_size: tuple[float, float] | None, planar: bool) -> tuple[float, float]:
    """Height and width of the image, zeros in 3-D.

    Raises:
        InputError: It is missing in 2-D, given in 3-D, or not two numbers above zero.
    """
    if not planar:
        if image_size is not None:
            raise InputError("image_size: the model reads 3-D joints; leave it out")
        return 0.0, 0.0
    try:
        size = as_floats(() if image_size is None else image_size, "image_size")
    except InputError:
        size = np.zeros(0, np.float32)
    if size.shape != (2,) or not (size > 0).all() or not np.isfinite(size).all():
        raise InputError(
            f"image_size: {shown(image_size)}, but the model reads 2-D joints in pixels; give "
            "image_size=(height, width)"
        )
    return float(size[0]), float(size[1])


def check_whole(value: Any, name: str, allowed: Range) -> int:
    """A whole number in a range.

    Raises:
        InputError: It is none.
    """
    if value not in allowed:
        raise InputError(f"{name}: {shown(value)} is not one of {allowed}")
    return int(value)


def as_prepared(x: ArrayLike, sizes: Sizes) -> Floats:
    """Prepared input ``[P * V, T, C]``.

    Raises:
        InputError: It has another shape.
    """
    given = as_floats(x, "x")
    fits = given.ndim == 3 and given.shape[2] == sizes.num_channels
    if not fits or len(given) % sizes.num_joints or not 0 < given.shape[1] <= sizes.clip_frames:
        raise InputError(
            f"x: shape {given.shape} is not [persons * {sizes.num_joints} joints, 1 to "
            f"{sizes.clip_frames} frames, {sizes.num_channels} channels]"
        )
    return given


def check_batch(
    batch: ArrayLike | None, rows: int, num_joints: int, num_clips: int | None
) -> tuple[NDArray[np.int64], int]:
    """The clip of every row, and the number of clips.

    Args:
        batch: The clips; None for a single one.
        rows: Rows of the input.
        num_joints: Rows of a person, who belong to one clip.
        num_clips: The number of clips; None for one more than the last.

    Raises:
        InputError: The clips do not ascend from 0, or persons are divided.
    """
    clips = np.zeros(rows, np.int64) if batch is None else as_array(batch, "batch")
    if clips.shape != (rows,) or clips.dtype.kind not in "iu":
        raise InputError(
            f"batch: shape {clips.shape} and type {clips.dtype}, not a whole number for each of "
            f"the {rows} rows"
        )
    # Before they lose their type: large numbers without a sign would become others.
    if rows and (largest := int(clips.max())) not in _CLIPS:
        raise InputError(f"batch: clip {largest} is not one of {_CLIPS}")
    clips = np.asarray(clips, np.int64, order="C")
    if num_clips is None:
        num_clips = int(clips[-1]) + 1 if rows else 0
    count = check_whole(num_clips, "num_clips", _CLIPS)
    steps = np.diff(clips, prepend=0)
    within = steps.reshape(-1, num_joints)[:, 1:]
    if (steps < 0).any() or within.any() or (rows and clips[-1] >= count):
        raise InputError(
            f"batch: the clips of rows must ascend from 0 to below {count}, and the {num_joints} "
            "joints of a person belong to one clip"
        )
    return clips, count
