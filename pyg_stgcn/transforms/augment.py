"""Random changes of viewpoint, size and position, for training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.transforms.clip_tensor import (
    clip_name,
    keep_present,
    kept_present,
    num_axes,
    present_joints,
    rotate,
    split_joints,
)


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
        InputError: If the angle is negative or not finite, or the channels of a clip are not
            coordinates.
    """

    def __init__(self, theta: float = 0.3) -> None:
        if not 0 <= theta < math.inf:
            raise InputError(f"theta: {theta:g} is not an angle; give 0 or more radians")
        self.theta = theta

    def forward(self, data: Data) -> Data:
        axes = num_axes(data)
        rotation = rotation_of(self.draw(axes)).to(data.x)
        rotated = rotate(data.x[..., :axes], rotation)
        data.x = torch.cat([rotated, data.x[..., axes:]], dim=-1)
        return data

    def draw(self, axes: int) -> Tensor:
        """The random angles of a clip: three in space, one in the plane."""
        return (2 * torch.rand(3 if axes == 3 else 1) - 1) * self.theta

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
        InputError: If the scale is negative or not finite, or the channels of a clip are not
            coordinates, or not as many as :obj:`scale` has entries.
    """

    def __init__(self, scale: float | Sequence[float] = 0.2) -> None:
        sizes = torch.as_tensor(scale, dtype=torch.double)
        if not bool(((sizes >= 0) & sizes.isfinite()).all()):
            raise InputError(f"scale: {scale} is not a change of size; give 0 or more")
        self.scale = scale

    def forward(self, data: Data) -> Data:
        axes = num_axes(data)
        factors = data.x.new_ones(data.x.size(-1))
        factors[:axes] += self.draw(axes, clip_name(data))
        data.x = data.x * factors
        return data

    def draw(self, axes: int, name: str) -> Tensor:
        r"""The random changes of the factors of a clip, :math:`(D)`."""
        scale = torch.as_tensor(self.scale)
        if scale.dim() and len(scale) != axes:
            raise InputError(
                f"{name}: {len(scale)} scales do not fit {axes} axes; "
                f"give one for each axis, or a single one"
            )
        return (2 * torch.rand(axes) - 1) * scale

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.scale})"


@functional_transform("random_mirror")
class RandomMirror(BaseTransform):
    r"""Mirrors some of the clips (functional name: :obj:`random_mirror`).

    The x axis is turned round at the origin and the left and right joints of all persons change
    places, so that a wave with the left hand becomes one with the right. Drawn from torch's global
    generator.

    Args:
        skeleton: The skeleton of the clips.
        p: The probability that a clip is mirrored.

    Shapes:
        - **input x, output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If the skeleton does not know left from right, :obj:`p` is no probability, or
            a clip does not fit the skeleton or its channels are not coordinates.
    """

    def __init__(self, skeleton: Skeleton, p: float = 0.5) -> None:
        if not skeleton.pairs:
            raise InputError(
                f"skeleton {skeleton.name!r}: a mirror needs its field 'pairs', the left and right "
                f"joints; add it or do not mirror"
            )
        if not 0 <= p <= 1:
            raise InputError(f"p: {p:g} is not a probability; give 0 to 1")
        self.skeleton = skeleton
        self.p = p
        self.mirrored = torch.arange(skeleton.num_joints)
        for left, right in skeleton.pairs:
            self.mirrored[left], self.mirrored[right] = right, left

    def forward(self, data: Data) -> Data:
        num_axes(data)
        joints = split_joints(data, self.skeleton)
        if self.draw():
            signs = data.x.new_ones(data.x.size(-1))
            signs[0] = -1
            present = kept_present(data)
            if present is not None:
                present = present.view(joints.shape[:3]).index_select(1, self.mirrored)
            data.x = (joints.index_select(1, self.mirrored) * signs).flatten(0, 1)
            keep_present(data, None if present is None else present.flatten(0, 1))
        return data

    def draw(self) -> bool:
        """Whether to mirror a clip."""
        return bool(torch.rand(()) < self.p)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.skeleton.name}, p={self.p})"


@functional_transform("gaussian_noise")
class GaussianNoise(BaseTransform):
    r"""Moves every joint in every frame a little (functional name: :obj:`gaussian_noise`).

    Adds :math:`\mathcal{N}(0, \sigma^2)` to each coordinate, from torch's global generator. Missing
    joints are not moved; the score of 2-D clips is not touched.

    Args:
        std: The standard deviation :math:`\sigma`, in units of the coordinates: mean bone lengths
            after :class:`PreNormalize3D` with :obj:`scale`, half images after
            :class:`PreNormalize2D`.

    Shapes:
        - **input x, output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If the deviation is negative or above :attr:`MAX_STD`, or the channels of a clip
            are not coordinates.
    """

    #: Far more than a body measures. Squares of much larger numbers overflow in single precision.
    MAX_STD = 1_000.0

    def __init__(self, std: float) -> None:
        if not 0 <= std <= self.MAX_STD:
            raise InputError(
                f"std: {std:g} is not a standard deviation; give 0 to {self.MAX_STD:g}"
            )
        self.std = std

    def forward(self, data: Data) -> Data:
        axes, present = num_axes(data), present_joints(data)
        noise = torch.zeros_like(data.x)
        noise[..., :axes] = self.draw(*data.x.shape[:-1], axes)
        data.x = data.x + noise * present.unsqueeze(-1)
        return data

    def draw(self, *shape: int) -> Tensor:
        """The random noise of a clip."""
        return torch.randn(*shape) * self.std

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.std})"


def rotation_of(angles: Tensor) -> Tensor:
    """The matrix of the angles of :meth:`RandomRotation.draw`."""
    return (rotation_3d if len(angles) == 3 else rotation_2d)(*angles.tolist())


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
