"""Meaning of the channels and nodes of a clip."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.presence import present_in_plane, present_in_space


def has_score(data: Data) -> bool:
    """Whether the last channel is the score of a 2-D joint: only 2-D clips have an image size."""
    return "image_size" in data and data.x.size(-1) == 3


def num_axes(data: Data) -> int:
    """The number of leading channels that are coordinates.

    Raises:
        InputError: If the clip's channels are not those of joints in the plane or in space.
    """
    channels = int(data.x.size(-1))
    if channels not in (2, 3):
        raise InputError(
            f"{clip_name(data)}: {channels} channels are not the coordinates of a joint (2 or 3); "
            f"apply this transform before ToStream"
        )
    return 2 if "image_size" in data else channels


def split_persons(data: Data) -> Tensor:
    r"""The joints of a clip by person, :math:`(M, V, T, C)`.

    Raises:
        InputError: If the nodes cannot be divided equally.
    """
    nodes, frames, channels = data.x.shape
    if data.num_persons < 1:
        raise InputError(f"{clip_name(data)}: the clip has no persons; leave it out")
    if nodes % data.num_persons:
        raise InputError(
            f"{clip_name(data)}: {nodes} nodes cannot belong to {data.num_persons} persons; "
            f"every person needs all joints"
        )
    return data.x.view(data.num_persons, nodes // data.num_persons, frames, channels)


def split_joints(data: Data, skeleton: Skeleton) -> Tensor:
    r"""The joints of a clip by person, :math:`(M, V, T, C)`, checked against a skeleton.

    Raises:
        InputError: If the persons do not have the joints of the skeleton.
    """
    joints = split_persons(data)
    if joints.size(1) != skeleton.num_joints:
        raise InputError(
            f"{clip_name(data)}: {joints.size(1)} joints a person do not fit skeleton "
            f"{skeleton.name!r} with {skeleton.num_joints}"
        )
    return joints


def present_joints(data: Data, skeleton: Skeleton | None = None) -> Tensor:
    r"""Mask of the present joints, :math:`(M \cdot V, T)`.

    The ``present`` of the clip, which datasets decide once. Where a clip has none that fits, its
    coordinates tell, see :mod:`pyg_stgcn.transforms.presence`; without a skeleton no joint is at
    the origin.

    Raises:
        InputError: If the channels of a clip are not coordinates.
    """
    axes, present = num_axes(data), kept_present(data)
    if present is not None:
        return present
    if axes == 2:
        return present_in_plane(data.x)
    if skeleton is None:
        return (data.x != 0).any(dim=-1)
    return present_in_space(split_joints(data, skeleton), skeleton).flatten(0, 1)


def kept_present(data: Data) -> Tensor | None:
    """The ``present`` of a clip, if it has one.

    One that does not fit the joints and frames was left behind by a transform that changed them
    and did not know of it.
    """
    present = data.get("present")
    return present if present is not None and present.shape == data.x.shape[:2] else None


def keep_present(data: Data, present: Tensor | None) -> None:
    """Sets the ``present`` of a clip whose joints or frames have been changed."""
    if present is not None:
        data.present = present
    elif "present" in data:
        del data.present


def take_frames(data: Data, frames: Tensor) -> None:
    """Keeps the frames of these numbers, in their order."""
    present = kept_present(data)
    data.x = data.x.index_select(1, frames)
    keep_present(data, None if present is None else present.index_select(1, frames))


def rotate(points: Tensor, rotation: Tensor) -> Tensor:
    r"""Multiplies every point :math:`(*, D)` by a matrix :math:`(D, D)`."""
    # A matrix product this small would be shared among threads and wait for them, which costs
    # milliseconds on a busy machine.
    turned = points[..., :1] * rotation[:, 0]
    for axis in range(1, rotation.size(1)):
        turned = turned + points[..., axis : axis + 1] * rotation[:, axis]
    return turned


def clip_name(data: Data) -> str:
    """The clip's name for messages."""
    return str(data.name) if "name" in data else "clip without a name"
