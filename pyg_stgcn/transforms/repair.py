"""Repair of missing frames and joints."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.transforms.clip_tensor import present_joints


@functional_transform("interpolate")
class Interpolate(BaseTransform):
    r"""Fills in missing joints linearly over time (functional name: :obj:`interpolate`).

    A missing frame is one in which all joints are missing. Each is put on the line between its
    nearest present frames, scores included; before the first and after the last of these it stands
    still. A joint that is missing throughout stays missing.

    Which joints are missing is in ``present``; where a clip has none, those at exactly zero.

    Shapes:
        - **input x, output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If the channels of a clip are not coordinates.
    """

    def forward(self, data: Data) -> Data:
        x, present = data.x, present_joints(data)
        if bool(present.all()):
            return data
        num_frames = x.size(1)
        time = torch.arange(num_frames)
        before = torch.where(present, time, -1).cummax(dim=1).values
        after = torch.where(present, time, num_frames).flip(1).cummin(dim=1).values.flip(1)
        start = torch.where(before < 0, after, before).clamp(max=num_frames - 1)
        end = torch.where(after == num_frames, before, after).clamp(min=0)
        weight = ((time - start) / (end - start).clamp(min=1)).to(x.dtype)
        first, last = (x.gather(1, frame.unsqueeze(-1).expand_as(x)) for frame in (start, end))
        line = torch.lerp(first, last, weight.unsqueeze(-1))
        fill = ~present & present.any(dim=1, keepdim=True)
        data.x = torch.where(fill.unsqueeze(-1), line, x)
        data.present = present | fill
        return data

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}()"
