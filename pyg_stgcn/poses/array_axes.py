"""The axes of an array of poses: persons, frames, joints and channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.coordinates import MAX_SCORE, MAX_UNITS, SPATIAL
from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons

#: Orders of the axes that are read: persons M, frames T, joints V, channels C. The first of each
#: length is the one that the documentation asks for.
_ORDERS = {3: ("TVC", "CTV", "TCV"), 4: ("MTVC", "TMVC", "CTVM", "MCTV")}
_CHANNELS = (2, 3, 4)
#: Frames and persons that show which axis is the time.
_MOTION = 64
_REMEDY = (
    "save one clip as [frames, joints, channels] or [persons, frames, joints, channels], where the "
    "channels are x, y, or x, y, score, or x, y, z"
)


def order_axes(
    array: NDArray[Any], skeleton: Skeleton | None, where: str, known: str | None = None
) -> tuple[NDArray[Any], str]:
    """A view of an array with its axes in order, and the order that they had.

    The shape decides, with the known numbers of joints: a clip has at least as many frames as
    persons. Where the shape fits several orders, the values do: scores go up to 1, pixels further,
    and a person moves less from frame to frame than persons are apart.

    Args:
        array: The array.
        skeleton: The layout, if the user names it.
        where: Name of the file, and perhaps the entry, in errors.
        known: The order, where the format says it.

    Returns:
        The view :math:`(M, T, V, C)`, and an order such as ``"CTVM"``.

    Raises:
        InputError: The array does not hold numbers, or its axes cannot be told.
    """
    shape = array.shape
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise InputError(f"{where}: has shape {shape} and type {array.dtype}; {_REMEDY}")
    possible = _ORDERS.get(len(shape), ()) if known is None else (known,)
    orders = [order for order in possible if _fits(shape, order, skeleton)]
    if not orders:
        raise InputError(f"{where}: has shape {shape}, {_describe(shape, skeleton)}")
    order = orders[0]
    if known is None and order == "MTVC" and "CTVM" in orders:
        order = _order_by_values(array, where)
    if known is None and order == "MTVC":
        order = _order_by_motion(array)
    view = array.transpose([order.index(axis) for axis in "MTVC" if axis in order])
    return (view if "M" in order else view[None]), order


def _fits(shape: tuple[int, ...], order: str, skeleton: Skeleton | None) -> bool:
    size = dict(zip(order, shape, strict=False))
    if len(order) != len(shape):
        return False
    in_space = skeleton is not None and skeleton.name in SPATIAL
    channels_fit = size["C"] in _CHANNELS[1 if in_space else 0 :]
    persons_fit = order == "MTVC" or size.get("M", 1) <= size["T"]
    return channels_fit and size["V"] in _counts(skeleton) and persons_fit


def _counts(skeleton: Skeleton | None) -> set[int]:
    """Numbers of joints that an array may have."""
    names = list_skeletons() if skeleton is None else []
    return {layout.num_joints for layout in (skeleton, *map(get_skeleton, names)) if layout}


def _order_by_motion(array: NDArray[Any]) -> str:
    """``"MTVC"`` or ``"TMVC"``: time is the axis along which joints move less."""
    sample = np.asarray(array[:_MOTION, :_MOTION], np.float64)
    present = np.isfinite(sample).all(axis=-1) & (sample != 0).any(axis=-1)
    steps = []
    for axis in (0, 1):
        both = np.delete(present, 0, axis) & np.delete(present, -1, axis)
        distance = np.abs(np.diff(np.where(present[..., None], sample, 0), axis=axis))[..., :2]
        steps.append(float(np.median(distance[both])) if both.any() else np.nan)
    if steps[0] < steps[1] / 2 or steps[1] < steps[0] / 2:
        return "TMVC" if steps[0] < steps[1] else "MTVC"
    return "TMVC" if array.shape[0] > array.shape[1] else "MTVC"


def _order_by_values(array: NDArray[Any], where: str) -> str:
    """The order of ``[3, T, V, 2]`` and the like: three persons, or x, y and score of two."""
    every = max(1, array.shape[1] // 256)
    sample = np.nan_to_num(np.asarray(array[:, ::every], np.float64))
    last = sample[-1]
    if len(array) == 2 or (np.abs(sample) > MAX_UNITS).any(axis=(1, 2, 3)).all():
        return "MTVC"
    if last.any() and last.min() >= 0 and last.max() <= MAX_SCORE:
        return "CTVM"
    raise InputError(
        f"{where}: has shape {array.shape}, which may be [persons, frames, joints, channels] as "
        "well as [channels, frames, joints, persons]; save every person as [frames, joints, "
        "channels] in a file of its own"
    )


def _describe(shape: tuple[int, ...], skeleton: Skeleton | None) -> str:
    if len(shape) == 5:
        return "which seems to be several clips; save each of them in a file of its own"
    if len(shape) == 2 and shape[1] in _CHANNELS:
        return "a single frame; put the frames of a clip together with numpy.stack"
    if len(shape) == 2 and skeleton is not None and shape[1] % skeleton.num_joints == 0:
        return (
            f"joints and channels in one axis; save it as array.reshape(len(array), "
            f"{skeleton.num_joints}, {shape[1] // skeleton.num_joints})"
        )
    if skeleton is not None and skeleton.num_joints not in shape:
        joints = f"{skeleton.num_joints} joints of {skeleton.name!r}"
        return f"no axis of which has the {joints}; {_REMEDY}"
    is_clip = len(shape) in _ORDERS and shape[-1] in _CHANNELS
    if skeleton is None and is_clip and shape[-2] not in _counts(None):
        return (
            f"with {shape[-2]} joints, which no built-in layout has; name the layout as skeleton, "
            "or the JSON file that describes it"
        )
    return f"whose axes cannot be told; {_REMEDY}"
