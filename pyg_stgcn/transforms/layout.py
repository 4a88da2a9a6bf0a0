"""What the channels and nodes of a clip mean."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeleton import Skeleton


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
        InputError: If the nodes cannot be shared out equally.
    """
    nodes, frames, channels = data.x.shape
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


def present_joints(data: Data) -> Tensor:
    r"""Where joints are present, :math:`(M \cdot V, T)`: a joint at exactly zero is missing.

    Raises:
        InputError: If the channels of a clip are not coordinates.
    """
    return (data.x[..., : num_axes(data)] != 0).any(dim=-1)


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
