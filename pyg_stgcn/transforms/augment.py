"""Random changes of viewpoint and size, for training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.layout import clip_name, num_axes, rotate


@functional_transform("random_rotation")
class RandomRotation(BaseTransform):
    r"""Rotates a clip about the origin by random angles (functional name:
    :obj:`random_rotation`).

    In space :math:`R = R_z R_y R_x` with one angle per axis; in the plane one angle. The score of
    2-D clips (those with an ``image_size``) is not touched. All angles are uniform in
    :math:`[-\theta, \theta]`, from torch's global generator.

    Args:
        theta: The largest angle in radians.

    Shapes:
        - **input x, output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If the channels of a clip are not coordinates.
    """

    def __init__(self, theta: float = 0.3) -> None:
        self.theta = theta

    def forward(self, data: Data) -> Data:
        axes = num_axes(data)
        angles = (2 * torch.rand(3 if axes == 3 else 1) - 1) * self.theta
        rotation = (rotation_3d if axes == 3 else rotation_2d)(*angles.tolist()).to(data.x)
        rotated = rotate(data.x[..., :axes], rotation)
        data.x = torch.cat([rotated, data.x[..., axes:]], dim=-1)
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.theta})"


@functional_transform("random_scaling")
class RandomScaling(BaseTransform):
    r"""Stretches a clip by a random factor per axis (functional name: :obj:`random_scaling`).

    The factors are uniform in :math:`[1 - s, 1 + s]`, from torch's global generator. The score of
    2-D clips (those with an ``image_size``) is not touched.

    Args:
        scale: The largest change :math:`s`, for all axes or one for each.

    Shapes:
        - **input x, output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If the channels of a clip are not coordinates, or not as many as
            :obj:`scale` has entries.
    """

    def __init__(self, scale: float | Sequence[float] = 0.2) -> None:
        self.scale = scale

    def forward(self, data: Data) -> Data:
        axes = num_axes(data)
        scale = torch.as_tensor(self.scale)
        if scale.dim() and len(scale) != axes:
            raise InputError(
                f"{clip_name(data)}: {len(scale)} scales do not fit {axes} axes; "
                f"give one for each axis, or a single one"
            )
        factors = data.x.new_ones(data.x.size(-1))
        factors[:axes] += (2 * torch.rand(axes) - 1) * scale
        data.x = data.x * factors
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.scale})"


def rotation_2d(angle: float) -> Tensor:
    """The matrix that turns the plane by an angle, counter-clockwise."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]], dtype=torch.double)


def rotation_3d(x: float, y: float, z: float) -> Tensor:
    """The matrix :math:`R_z R_y R_x`, where each factor turns clockwise about its axis."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in (x, y, z))
    about_x = [[1, 0, 0], [0, cx, sx], [0, -sx, cx]]
    about_y = [[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]]
    about_z = [[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]]
    matrices = torch.tensor([about_z, about_y, about_x], dtype=torch.double)
    return matrices[0] @ matrices[1] @ matrices[2]
