"""Random changes of the beginning, the end and the speed, for training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.clip_tensor import present_joints, take_frames


class NewFrames(NamedTuple):
    """Frames between others: the numbers of the earlier, the later and the nearer one, and the
    weight of the later one in double precision.
    """

    earlier: Tensor
    later: Tensor
    nearer: Tensor
    weight: Tensor


@functional_transform("temporal_crop")
class TemporalCrop(BaseTransform):
    r"""Keeps a random contiguous part of a clip (functional name: :obj:`temporal_crop`).

    All lengths from :math:`\mathrm{round}(s T)` (at least one) to :math:`T` frames are equally
    likely, and then all positions; drawn from torch's global generator.

    Args:
        min_fraction: The smallest fraction :math:`s` in :math:`(0, 1]`.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, C)`
        - **output x:** :math:`(M \cdot V, T', C)`, :math:`T' \leq T`

    Raises:
        InputError: If the fraction is not in that range.
    """

    def __init__(self, min_fraction: float) -> None:
        if not 0 < min_fraction <= 1:
            raise InputError(
                f"min_fraction: {min_fraction:g} is no part of a clip; give more than 0, up to 1"
            )
        self.min_fraction = min_fraction

    def forward(self, data: Data) -> Data:
        take_frames(data, self.draw(data.x.size(1)))
        return data

    def draw(self, num_frames: int) -> Tensor:
        """The random frames that a clip keeps."""
        shortest = min(max(1, round(self.min_fraction * num_frames)), num_frames)
        length = int(torch.randint(shortest, num_frames + 1, ()))
        start = int(torch.randint(num_frames - length + 1, ()))
        return torch.arange(start, start + length)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.min_fraction})"


@functional_transform("random_speed")
class RandomSpeed(BaseTransform):
    r"""Plays a clip faster or slower (functional name: :obj:`random_speed`).

    The speed :math:`s` is uniform in :math:`[1 - c, 1 + c]`, from torch's global generator. The
    :math:`\mathrm{round}(T / s)` new frames (at least one) are spread evenly from the first to the
    last; each lies on the line between its two neighbours. Where a joint is missing in one of the
    two, the nearer one counts alone.

    :class:`UniformSample` spreads its frames over clips of any length, so the speed shows in
    motion streams, and in clips too short to fill the sample.

    Args:
        max_change: The largest change :math:`c` in :math:`[0, 1)`.

    Shapes:
        - **input x:** :math:`(M \cdot V, T, C)`
        - **output x:** :math:`(M \cdot V, T', C)`

    Raises:
        InputError: If the change is not in that range, or the channels of a clip are not
            coordinates.
    """

    def __init__(self, max_change: float) -> None:
        if not 0 <= max_change < 1:
            raise InputError(
                f"max_change: {max_change:g} would stop or turn back a clip; give 0 to below 1"
            )
        self.max_change = max_change

    def forward(self, data: Data) -> Data:
        x, present = data.x, present_joints(data)
        earlier, later, nearer, weight = self.draw(x.size(1))
        if len(nearer) == 0:
            return data
        weight = weight.to(x.dtype).view(1, -1, 1)
        line = torch.lerp(x.index_select(1, earlier), x.index_select(1, later), weight)
        both = present.index_select(1, earlier) & present.index_select(1, later)
        data.x = torch.where(both.unsqueeze(-1), line, x.index_select(1, nearer))
        data.present = present.index_select(1, nearer)
        return data

    def draw(self, num_frames: int) -> NewFrames:
        """The frames of a clip at a random speed."""
        speed = 1 + (2 * float(torch.rand(())) - 1) * self.max_change
        length = max(1, round(num_frames / speed)) if num_frames else 0
        position = torch.linspace(0, num_frames - 1, length, dtype=torch.double)
        earlier = position.floor().long()
        later = (earlier + 1).clamp(max=num_frames - 1)
        return NewFrames(earlier, later, position.round().long(), position - earlier)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.max_change})"
