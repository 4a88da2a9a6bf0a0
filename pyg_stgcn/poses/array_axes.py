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
_REMEDY = (
    "save one clip as [frames, joints, channels] or [persons, frames, joints, channels], where the "
    "channels are x, y, or x, y, score, or x, y, z"
)


def order_axes(
    array: NDArray[Any], skeleton: Skeleton | None, where: str
) -> tuple[NDArray[Any], str]:
    """A view of an array with its axes in order, and the order that they had.

    The shape decides, with the known numbers of joints. Only where it could be ``[M, T, V, C]`` as
    well as ``[C, T, V, M]``, the values do: scores go up to 1, pixels further.

    Args:
        array: The array.
        skeleton: The layout, if the user names it.
        where: Name of the file, and perhaps the entry, in errors.

    Returns:
        The view :math:`(M, T, V, C)`, and an order such as ``"CTVM"``.

    Raises:
        InputError: The array does not hold numbers, or its axes cannot be told.
    """
    shape = array.shape
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise InputError(f"{where}: has shape {shape} and type {array.dtype}; {_REMEDY}")
    orders = [order for order in _ORDERS.get(len(shape), ()) if _fits(shape, order, skeleton)]
    if not orders:
        raise InputError(f"{where}: has shape {shape}, {_describe(shape, skeleton)}")
    order = orders[0]
    if order == "MTVC" and "CTVM" in orders:
        order = _order_by_values(array, where)
    view = array.transpose([order.index(axis) for axis in "MTVC" if axis in order])
    return (view if "M" in order else view[None]), order


def _fits(shape: tuple[int, ...], order: str, skeleton: Skeleton | None) -> bool:
    size = dict(zip(order, shape, strict=True))
    names = list_skeletons() if skeleton is None else []
    counts = {layout.num_joints for layout in (skeleton, *map(get_skeleton, names)) if layout}
    in_space = skeleton is not None and skeleton.name in SPATIAL
    channels_fit = size["C"] in _CHANNELS[1 if in_space else 0 :]
    # A clip has at least as many frames as persons.
    return channels_fit and size["V"] in counts and size.get("M", 1) <= size["T"]


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
    if skeleton is None and len(shape) in _ORDERS and shape[-1] in _CHANNELS:
        return (
            f"with {shape[-2]} joints, which no built-in layout has; name the layout as skeleton, "
            "or the JSON file that describes it"
        )
    return f"whose axes cannot be told; {_REMEDY}"
